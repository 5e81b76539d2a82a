#!/usr/bin/env bash
# disk.sh ROOT PARTS SYSTEM DISK: the disk that a machine of the lab starts from: ROOT with SYSTEM as its first generation, and an
# ESP whose boot loader starts it. Needs root.
set -euo pipefail
root=$1 parts=$2 system=$3 disk=$4
profiles=$root/nix/var/nix/profiles
rm -f "$profiles"/system*
ln -s "$system" "$profiles/system-1-link"
ln -s system-1-link "$profiles/system"

work=$(mktemp -d "$disk.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/esp/EFI/BOOT"
cp "$parts/boot.efi" "$work/esp/EFI/BOOT/BOOTX64.EFI"
BOOT=$work/esp ROOT=$root "$root$system/bin/install-boot-loader" "$system"

# 3 GiB: an ESP of 256 MiB, then the root.
raw=$work/disk.raw
truncate -s 3G "$raw"
sfdisk --quiet "$raw" <<'TABLE'
label: gpt
start=1MiB, size=256MiB, type=uefi, name=ESP
type=linux, name=root
TABLE
truncate -s 256M "$work/esp.raw"
mkfs.vfat -F 32 -s 1 -n ESP "$work/esp.raw" >/dev/null
mcopy -s -i "$work/esp.raw" "$work"/esp/* ::/
dd if="$work/esp.raw" of="$raw" bs=1M seek=1 conv=notrunc,sparse status=none
mkfs.ext4 -q -F -L root -d "$root" -E offset=$((257 * 1024 * 1024)) "$raw" $((3 * 1024 - 257 - 1))M
qemu-img convert -O qcow2 "$raw" "$work/disk.qcow2"
mv "$work/disk.qcow2" "$disk"
