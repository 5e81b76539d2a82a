#!/usr/bin/env bash
# Runs on a Proxmox node: grows a virtual machine's disks, running or not. Nothing is ever shrunk.
# Argument: VMID.  Standard input, a disk a line: INTERFACE GIB, like `scsi0 10`.
set -euo pipefail
vmid=$1
config=$(qm config "$vmid" --current 1)

# gib INTERFACE: its size in GiB; PVE writes it with a unit.
gib() {
  sed -nE "s/^$1: .*[, ]size=([0-9.]+)([MGT]).*/\1 \2/p" <<<"$config" |
    awk '{ printf "%d", ($2 == "T" ? $1 * 1024 : $2 == "M" ? $1 / 1024 : $1) }'
}

grown=()
while read -r interface size; do
  has=$(gib "$interface")
  # Not there yet, or in another unit: nothing to go by.
  [[ -n $has ]] || continue
  if ((has > size)); then
    printf 'virtual machine %s: %s has %s GiB and %s are wanted: a disk cannot be shrunk. Fix: write size = %s for it\n' \
      "$vmid" "$interface" "$has" "$size" "$has" >&2
    exit 1
  fi
  ((has == size)) || grown+=("$interface $size")
done
for disk in ${grown[@]+"${grown[@]}"}; do
  read -r interface size <<<"$disk"
  printf 'virtual machine %s: grows %s to %s GiB\n' "$vmid" "$interface" "$size"
  qm disk resize "$vmid" "$interface" "${size}G"
done
