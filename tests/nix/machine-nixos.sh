#!/bin/bash
# Payload of the initrd that bifrost's newest generation boots: opens and mounts what NixOS would, and tells what it found.
# Beside it: mounts (device, type, options and place of each file system, in their order).
set -uo pipefail
echo "== cmdline"
cat /proc/cmdline
echo "== mounted"
printf secret | cryptsetup open --key-file - /dev/disk/by-partlabel/disk-main-pool cryptroot
while read -r device type options place; do
  mkdir -p "/sysroot$place"
  mount -t "$type" -o "$options" "$device" "/sysroot$place" && cat "/sysroot$place/mark" 2>/dev/null
done </payload/mounts
echo "== entries"
ls /sysroot/boot/efi/loader/entries
