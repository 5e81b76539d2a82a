#!/usr/bin/env bash
# Runs on a Proxmox node: adds, grows and detaches a container's data disks. Nothing is ever deleted or shrunk.
# Argument: VMID.  Standard input, a disk a line: MOUNT GIB DATASTORE; 0 GiB detaches it, its volume stays as unused.
set -euo pipefail
vmid=$1
config=$(pct config "$vmid")

refuse() {
  printf 'container %s: %s\n' "$vmid" "$*" >&2
  exit 1
}

# line_of MOUNT: its mount point's line of the configuration, like `mp0: local-zfs:subvol-111-disk-1,mp=/srv,size=10G`.
line_of() { awk -v mount="mp=$1" '/^mp[0-9]+: / { n = split($0, part, /[ ,]/); for (i = 2; i <= n; i++) if (part[i] == mount) print }' <<<"$config"; }

# gib LINE: its size in GiB; PVE writes it with a unit.
gib() {
  sed -nE 's/.*[, ]size=([0-9.]+)([MGT]).*/\1 \2/p' <<<"$1" |
    awk '{ printf "%d", ($2 == "T" ? $1 * 1024 : $2 == "M" ? $1 / 1024 : $1) }'
}

free_key() {
  local number=0
  while grep -q "^mp$number: " <<<"$config"; do number=$((number + 1)); done
  printf 'mp%s' "$number"
}

wanted=()
while read -r mount size datastore; do
  [[ -n $mount ]] || continue
  wanted+=("$mount $size $datastore")
  # All of it is looked at before any of it is changed.
  line=$(line_of "$mount")
  [[ -n $line && $size != 0 ]] || continue
  has=$(gib "$line")
  ((has <= size)) || refuse "$mount has $has GiB and $size are wanted: a disk cannot be shrunk. Fix: write size = $has for it"
  store=$(sed -E 's/^mp[0-9]+: ([^:]+):.*/\1/' <<<"$line")
  [[ $store == "$datastore" ]] ||
    refuse "$mount is on $store and $datastore is wanted. Fix: write datastore = \"$store\", or move it: pct move-volume $vmid ${line%%:*} $datastore"
done

for disk in ${wanted[@]+"${wanted[@]}"}; do
  read -r mount size datastore <<<"$disk"
  line=$(line_of "$mount")
  key=${line%%:*}
  if [[ -z $line && $size != 0 ]]; then
    key=$(free_key)
    printf 'container %s: adds %s, %s GiB on %s\n' "$vmid" "$mount" "$size" "$datastore"
    pct set "$vmid" "-$key" "$datastore:$size,mp=$mount,backup=1"
  elif [[ -n $line && $size == 0 ]]; then
    printf 'container %s: detaches %s; its volume stays, as unused\n' "$vmid" "$mount"
    pct set "$vmid" --delete "$key"
    if grep -q "^$key: " <<<"$(pct config "$vmid" --current 1)"; then
      printf 'container %s: %s is in use until the container boots. Then: ./aether reboot HOST\n' "$vmid" "$mount"
    fi
  elif [[ -n $line ]] && (($(gib "$line") < size)); then
    printf 'container %s: grows %s to %s GiB\n' "$vmid" "$mount" "$size"
    pct resize "$vmid" "$key" "${size}G"
  fi
  config=$(pct config "$vmid")
done
