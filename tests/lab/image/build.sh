#!/usr/bin/env bash
# build.sh DIR: Debian's packages as the root of the lab's machines, in DIR/root, with what is told apart from them: kernel, initrd,
# boot loader and busybox in DIR/parts. Needs root.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
# shellcheck source=nix/tools/debian-mirror.sh
source "$here/../../../nix/tools/debian-mirror.sh"
dir=$(realpath -m "$1")
root=$dir/root
mkdir -p "$dir/parts"
# The hook below splits its words at spaces, and the checkout may be in a folder with one.
cd "$here"

packages=$(paste -sd, "$here/packages.txt")
# The initrd is made when the kernel's package is configured: what is in it has to be said before.
# shellcheck disable=SC2016 # the hooks are expanded by mmdebstrap
mmdebstrap --quiet --variant=minbase --mode=root --include="$packages" \
  --aptopt='APT::Install-Recommends "false"' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --essential-hook='mkdir -p "$1/etc/initramfs-tools" "$1/etc/kernel"' \
  --essential-hook='printf "layout=other\n" >"$1/etc/kernel/install.conf"' \
  --essential-hook='copy-in initramfs-tools /etc' \
  trixie "$root" "$(debian_source trixie)"

cp -r "$here/files/." "$root/"
chroot "$root" systemctl --quiet enable systemd-networkd ssh
chroot "$root" systemctl --quiet mask systemd-networkd-wait-online.service apt-daily.timer apt-daily-upgrade.timer \
  e2scrub_all.timer fstrim.timer systemd-firstboot.service systemd-boot-update.service
# One key and one identity a machine, which the lab gives it.
rm -f "$root"/etc/ssh/ssh_host_*
: >"$root/etc/machine-id"
rm -rf "$root/var/lib/apt/lists" "$root/var/cache/apt"
mkdir -p "$root/nix/store" "$root/nix/var/nix/profiles" "$root/var/lib/aether" "$root/usr/local/lib/systemd"
ln -s /etc/static/systemd/system "$root/usr/local/lib/systemd/system"

cp "$root"/boot/vmlinuz-* "$dir/parts/kernel"
cp "$root"/boot/initrd.img-* "$dir/parts/initrd"
# nixpkgs' release of the boot loader: trixie's does not know `preferred`.
"$here/../../../nix/tools/unpack-debian.sh" "$dir/loader" sid systemd-boot-efi
cp "$dir/loader/root/usr/lib/systemd/boot/efi/systemd-bootx64.efi" "$dir/parts/boot.efi"
cp "$root/usr/bin/busybox" "$dir/parts/busybox"
rm -rf "${root:?}"/boot/* "$root"/vmlinuz* "$root"/initrd.img*
