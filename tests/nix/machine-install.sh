#!/bin/bash
# Payload of a test machine: the installer's own program, disko's evaluated scripts, and the disk it leaves, by section.
# Beside it: install.sh, erase, mount, first.sh, disk-deactivate/, key, key.pub, esp/ and settings.
set -uo pipefail
here=/payload
# shellcheck source=/dev/null
source "$here/settings" # HOST, STORE, ESP
export PATH=$here/bin:$PATH
export AETHER_HOST=$HOST AETHER_SYSTEM=/nix/store/system AETHER_ERASE=$here/erase AETHER_MOUNT=$here/mount
export AETHER_IDENTITY=$STORE AETHER_HOST_KEY
AETHER_HOST_KEY=$(<"$here/key.pub")

# Its own store is not there: what it would copy is the boot loader's part, and a mark on every file system.
mkdir "$here/bin"
cat >"$here/bin/nixos-install" <<'INSTALL'
#!/bin/bash
set -euo pipefail
source /payload/settings
root=$2
findmnt --noheadings --list --output TARGET | grep "^$root" | while read -r place; do
  [ "$place" = "$root$ESP" ] || echo "$place" >"$place/mark"
done
[ ! -d /payload/esp ] || cp -r /payload/esp/. "$root$ESP/"
INSTALL
chmod +x "$here/bin/nixos-install"
close() {
  swapoff --all
  # Of a machine with its root in memory /mnt itself is no mount.
  mounts | sort --reverse | xargs umount
  cryptsetup close cryptroot
}
mounts() { findmnt --noheadings --list --output TARGET | grep '^/mnt'; }
written() { head -c 1048576 "$1" | tr -d '\0' | wc -c; }
disk() { lsblk --noheadings --nodeps --output PATH,SERIAL | awk -v serial="$1" '$2 == serial { print $1 }'; }
firmware() { efibootmgr --verbose | sed -nE 's/^(BootOrder|Boot[0-9A-F]{4})/\1/p'; }

echo "== refused"
echo S1 | bash "$here/install.sh" --identity "$here/key" 2>&1
echo "status $?, written $(written "$(disk S1-ABC)") $(written "$(disk S2-DEF)")"

echo "== installed"
# As on a stick: everybody may read it.
chmod 0755 "$here/key"
printf 'S2-DEF\nsecret\nsecret\n' | bash "$here/install.sh" --identity "$here/key" 2>/run/log
status=$?
echo "status $status"
[ "$status" = 0 ] || tail -n 40 /run/log
echo "== other"
written "$(disk S1-ABC)"
echo "== partitions"
lsblk --noheadings --list --output PARTLABEL,FSTYPE,SIZE "$(disk S2-DEF)"
echo "== container"
cryptsetup status cryptroot
dmsetup table cryptroot 2>/dev/null | cut -d' ' -f3
echo "== header"
cryptsetup luksDump /dev/disk/by-partlabel/disk-main-pool
echo "== mounts"
findmnt --json --output TARGET,SOURCE,FSTYPE,OPTIONS --list
echo "== identity"
(cd "/mnt$STORE/etc" && stat --format '%a %n' ssh/* machine-id && [ "$(<ssh/ssh_host_ed25519_key)" = "$(<"$here/key")" ] && grep -cE '^[0-9a-f]{32}$' machine-id)
echo "== kept"
close
printf 'S2-DEF\nsecret\n' | bash "$here/install.sh" --keep --identity "$here/key" 2>/run/log || tail -n 40 /run/log
cat /mnt/nix/mark
echo "== firmware"
if [ -d "$here/esp" ]; then
  # bootctl puts itself first, on the disk of an installation before this one.
  efibootmgr --quiet --create --disk "$(disk S2-DEF)" --part 1 --label rEFInd --loader '\EFI\refind\refind_x64.efi'
  sgdisk --partition-guid=1:R "$(disk S2-DEF)" >/dev/null
  partx --update "$(disk S2-DEF)"
  udevadm settle
  efibootmgr --quiet --create --disk "$(disk S2-DEF)" --part 1 --label "Linux Boot Manager" --loader '\EFI\systemd\systemd-bootx64.efi'
  bash "$here/first.sh" "/mnt$ESP" rEFInd '\EFI\refind\refind_x64.efi'
  firmware
  echo "esp $(lsblk --noheadings --nodeps --output PARTUUID /dev/disk/by-partlabel/disk-main-ESP)"
fi
close
