# shellcheck shell=bash
# data-disk.sh DEVICE LABEL: makes a blank disk one partition with an ext4 file system, once, and lets the partition grow with its
# disk. A disk that holds anything else is left alone, and the unit fails. LABEL is the partition's name, and is given last: a
# partition of that name is finished, whatever became of its content.
set -euo pipefail
device=$1 label=$2
draft=aether-new
# Of this disk: by-partlabel would lead to another disk's draft while two are made at once.
part() { lsblk --noheadings --list --paths --output NAME,PARTLABEL "$device" | sed -n "s/^\([^ ]*\)  *$1 *$/\1/p"; }
named() { lsblk --noheadings --list --output PARTLABEL "$device" | sed -n '/./p'; }
settle() { udevadm settle --timeout 60; }

for ((tries = 0; tries < 300; tries++)); do
  [[ ! -b $device ]] || break
  sleep 0.2
done
[[ -b $device ]] || {
  echo "$device is not there. Is the disk in the inventory attached to this machine?" >&2
  exit 1
}
settle

if [[ $(named) != "$label" && $(named) != "$draft" ]]; then
  # Neither a signature nor a byte that is not zero where file systems and tables have theirs.
  size=$(blockdev --getsize64 "$device")
  mib=$((1024 * 1024))
  written() { dd if="$device" bs=$mib skip="$1" count="$2" status=none | tr -d '\0' | head -c 1 | wc -c; }
  if [[ -n $(wipefs --no-act --noheadings "$device") || $(written 0 16) != 0 || $(written $((size / mib - 1)) 1) != 0 ]]; then
    echo "$device holds something that this machine did not put there, and is left alone:" >&2
    lsblk --output NAME,SIZE,FSTYPE,LABEL,PARTLABEL "$device" >&2
    echo "If it may go: wipefs --all $device, then: systemctl restart this unit. If it is the data: sfdisk --part-label $device 1 $label" >&2
    exit 1
  fi
  printf 'label: gpt\ntype=linux, name=%s\n' "$draft" | sfdisk --quiet --wipe never "$device"
  partx --update "$device"
  settle
fi
if [[ $(named) == "$draft" ]]; then
  # Made by this script and not finished: the power may have gone.
  mkfs.ext4 -q -F -L "${label:0:16}" "$(part "$draft")"
  sync
  sfdisk --quiet --no-reread --part-label "$device" 1 "$label"
  partx --update "$device"
  settle
fi
[[ $(named) == "$label" ]] || {
  echo "$device has no partition $label, though it should have one now" >&2
  exit 1
}

# The table's second copy belongs at the end of the disk, and the partition goes there. Counted in sectors of 512 bytes by the
# kernel, not read from what sfdisk says, whose words differ by version.
sysfs=/sys/class/block/$(basename "$(part "$label")")
end=$(($(<"$sysfs/start") + $(<"$sysfs/size")))
if (($(blockdev --getsz "$device") - end > 16 * 2048)); then
  sfdisk --quiet --relocate gpt-bak-std "$device"
  echo ', +' | sfdisk --quiet --no-reread --force -N 1 "$device"
  partx --update "$device"
  settle
fi
