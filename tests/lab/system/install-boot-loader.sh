#!/bin/bash
# install-boot-loader SYSTEM: one entry a generation on the ESP, as nixpkgs' systemd-boot-builder with boot counting: a new entry has
# its tries in its name; the newest one that can still be tried starts.
set -euo pipefail
PATH=/usr/sbin:/usr/bin
boot=${BOOT:-/boot} root=${ROOT:-}
profiles=$root/nix/var/nix/profiles
mkdir -p "$boot/loader/entries" "$boot/EFI/nixos"
copy() { # copy STORE-PATH: its name on the ESP
  local source name
  source=$(readlink "$1")
  name=${source##*/}.efi
  if [[ ! -e $boot/EFI/nixos/$name ]]; then
    cp "$root$source" "$boot/EFI/nixos/$name.tmp"
    mv "$boot/EFI/nixos/$name.tmp" "$boot/EFI/nixos/$name"
  fi
  printf '/EFI/nixos/%s' "$name"
}
numbers=()
for link in "$profiles"/system-*-link; do
  number=${link##*/system-}
  number=${number%-link}
  numbers+=("$number")
  compgen -G "$boot/loader/entries/nixos-generation-$number*.conf" | grep -E "generation-$number(\+[0-9-]+)?\.conf$" >/dev/null && continue
  system=$(readlink "$link")
  tries=$(<"$root$system/boot-tries")
  entry=$boot/loader/entries/nixos-generation-$number+$tries.conf
  [[ $tries != 0 ]] || entry=${entry/+0/}
  kernel=$(copy "$root$system/kernel")
  initrd=$(copy "$root$system/initrd")
  cat >"$entry.tmp" <<CONF
title NixOS
sort-key nixos
version Generation $number
linux $kernel
initrd $initrd
options init=$system/init root=/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_drive-scsi0-part2 ro console=ttyS0 panic=10 $(<"$root$system/kernel-params")
CONF
  mv "$entry.tmp" "$entry"
done
for entry in "$boot"/loader/entries/nixos-generation-*.conf; do
  number=$(sed -E 's/.*nixos-generation-([0-9]+).*/\1/' <<<"$entry")
  printf '%s\n' "${numbers[@]}" | grep -x "$number" >/dev/null || rm "$entry"
done
# `preferred` (systemd-boot 260) passes over an entry whose tries are used up.
for number in "${numbers[@]}"; do
  [[ $(readlink "$profiles/system-$number-link") != "$1" ]] || default=$number
done
printf 'timeout 0\npreferred nixos-generation-%s.conf\ndefault nixos-*\n' "${default:?$1 is no generation}" >"$boot/loader/loader.conf"
sync -f "$boot"
