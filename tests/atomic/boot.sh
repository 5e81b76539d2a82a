#!/usr/bin/env bash
# boot.sh PROGRAMS WORK ARGUMENT…: what an initramfs does with the kernel's ARGUMENTs, then the system, in a container. Runs in a mount
# namespace of its own; WORK/sysroot is the disk.
set -euo pipefail
programs=$1
work=$2
shift 2

mkdir -p "$work/root"
mount -t tmpfs none /run
mount --bind "$work/sysroot" "$work/root"
echo "$*" >"$work/cmdline"
mount --bind "$work/cmdline" /proc/cmdline
# The deployment that ostree= names becomes the root.
"$programs/run" usr/lib/ostree/ostree-prepare-root "$work/root"
umount /proc/cmdline
# A real initramfs hands on its /run; a container has its own.
rm -rf "$work/run"
mkdir "$work/run"
cp -a /run/ostree /run/ostree-booted "$work/run"
# shellcheck disable=SC2016 # the shell in the container expands it
exec "$programs/run" usr/bin/systemd-nspawn --register=no --keep-unit --quiet --console=pipe --link-journal=no \
  --resolv-conf=off --timezone=off --machine=kinoite --directory="$work/root" --bind="$work/run/ostree:/run/ostree" \
  --bind="$work/run/ostree-booted:/run/ostree-booted" --bind-ro="$work/cmdline:/run/cmdline" \
  /usr/bin/bash -c 'mount --bind /run/cmdline /proc/cmdline; exec /usr/lib/systemd/systemd "$@"' init "$@"
