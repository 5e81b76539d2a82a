#!/usr/bin/env bash
# personal_layout.sh IMAGE CREATE TOOLS: runs a disko script on IMAGE as a loop device, in a mount namespace of its own,
# and prints what came out of it, section by section. Needs root.
#   CREATE   the script as evaluated     TOOLS   directory of wrappers that go first in PATH
# What the kernel here lacks is stood in for, and said: without device mapper the opened container is a second loop
# device behind the LUKS header, and without udev the links under /dev are made from what sgdisk says.
set -euo pipefail
if [ "${INSIDE:-}" != yes ]; then
  INSIDE=yes exec unshare --mount --propagation private -- "$0" "$@"
fi
image=$1 create=$2 tools=$3
loops=()
cleanup() {
  cd /
  for loop in "${loops[@]}"; do losetup --detach "$loop" 2>/dev/null || true; done
}

loop=$(losetup --find --show --partscan "$image")
loops+=("$loop")
trap cleanup EXIT

# A /dev of its own: links and mappings that the script makes are nobody else's.
mkdir -p /run/aether-dev
mount -t tmpfs none /run/aether-dev
for node in null zero full random urandom tty loop-control; do
  cp -a "/dev/$node" /run/aether-dev/ 2>/dev/null || true
done
for number in $(seq 0 15); do mknod "/run/aether-dev/loop$number" b 7 "$number"; done
ln -s /proc/self/fd /run/aether-dev/fd
mkdir -p /run/aether-dev/disk/by-partlabel /run/aether-dev/aether /run/aether-dev/mapper /run/aether-dev/shm
mount --move /run/aether-dev /dev
ln -s "$loop" /dev/aether/system

work=$(mktemp -d)
mkdir "$work/bin"
# udev's part: a node and a by-partlabel link for every partition of the disk.
cat >"$work/bin/udevadm" <<UDEV
#!/usr/bin/env bash
set -euo pipefail
[ "\${1:-}" = settle ] || exit 0
disk=$(basename "$loop")
sgdisk --print $loop | sed -nE 's/^ +([0-9]+) .*/\1/p' | while read -r number; do
  part=/sys/class/block/\$disk/\${disk}p\$number
  # Kernels that read no GPT themselves are told.
  [ -e "\$part" ] || partx --add --nr "\$number:\$number" $loop
  node=/dev/\${disk}p\$number
  IFS=: read -r major minor <"\$part/dev"
  [ -b "\$node" ] || mknod "\$node" b "\$major" "\$minor"
  label=\$(sgdisk --info="\$number" $loop | sed -n "s/^Partition name: '\(.*\)'/\1/p")
  ln -sfn "\$node" "/dev/disk/by-partlabel/\$label"
done
UDEV
printf '#!/bin/sh\nexit 0\n' >"$work/bin/partprobe"
cat >"$work/bin/cryptsetup" <<CRYPT
#!/usr/bin/env bash
set -euo pipefail
export PATH="$tools:\$PATH"
if grep -q device-mapper /proc/misc; then exec "$tools/cryptsetup" "\$@"; fi
case \$1 in
  status) [ -e "/dev/mapper/\$2" ] ;;
  open)
    # The passphrase must really open it; only the mapping is stood in for.
    key=\$(mktemp)
    while [ \$# -gt 0 ]; do case \$1 in --key-file) cat "\$2" >"\$key"; shift ;; open) device=\$2 name=\$3 ;; esac; shift; done
    "$tools/cryptsetup" open --test-passphrase --key-file "\$key" "\$device"
    opened=\$(losetup --find --show --offset 16777216 "\$device")
    echo "\$opened" >>"$work/opened"
    ln -sfn "\$opened" "/dev/mapper/\$name"
    ;;
  *) exec "$tools/cryptsetup" "\$@" ;;
esac
CRYPT
chmod +x "$work"/bin/*
export PATH=$work/bin:$tools:$PATH IN_DISKO_TEST=yes

run() { # disko's scripts expect these options
  bash -euo pipefail "$create" >&2
  [ ! -f "$work/opened" ] || while read -r each; do loops=("$each" "${loops[@]}"); done <"$work/opened"
  : >"$work/opened"
}
: >"$work/opened"
run
echo "== partitions"
sgdisk --print "$loop"
for part in /dev/disk/by-partlabel/*; do
  echo "== $(basename "$part")"
  blkid -o export "$part" || true
  if [[ $(blkid -o export "$part") == *TYPE=vfat* ]]; then fsck.fat -n "$part"; fi
  if cryptsetup isLuks "$part"; then cryptsetup luksDump "$part"; fi
done
pool=/dev/disk/by-partlabel/disk-main-pool
[ ! -e /dev/mapper/cryptroot ] || pool=/dev/mapper/cryptroot
mkdir "$work/pool"
if [[ $(blkid -o export "$pool") == *TYPE=btrfs* ]]; then
  mount "$pool" "$work/pool"
  echo "== subvolumes"
  btrfs subvolume list "$work/pool"
  echo "== swap"
  find "$work/pool" -maxdepth 2 -name swapfile -size +0 -printf '%s %P\n'
  echo "== again"
  date >"$work/pool/kept"
  umount "$work/pool"
  # A second run must change nothing that is there.
  run
  mount "$pool" "$work/pool"
  [ ! -s "$work/pool/kept" ] || echo "kept"
  btrfs subvolume snapshot -r "$work/pool/$(btrfs subvolume list "$work/pool" | sed -n '1s/.* path //p')" "$work/pool/snapshot" >&2
  echo "snapshot $(btrfs property get "$work/pool/snapshot" ro)"
  umount "$work/pool"
fi
