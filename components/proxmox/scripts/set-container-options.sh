#!/usr/bin/env bash
# Runs on a Proxmox node: features and device nodes of a container, set where they differ.
# Arguments: VMID, restart (yes or no), features like nesting=1,keyctl=1, device nodes.
# Exit 3: set, and the running container has still to be restarted.
set -euo pipefail
vmid=$1 restart=$2 features=$3
shift 3

config=$(pct config "$vmid" 2>/dev/null) || {
  # Nothing to take away from a container that is gone.
  [[ $restart == no && -z ${features#nesting=1} ]] && exit 0
  printf 'container %s is not on this node\n' "$vmid" >&2
  exit 1
}

value() { sed -n "s/^$1: //p" <<<"$config"; }

# In one order, whoever wrote them, without what is off.
ordered() { tr ',' '\n' <<<"$1" | sed '/^$/d; /=0$/d' | sort | paste -sd, -; }

changes=() surplus=()
if [[ $(ordered "$(value features)") != "$(ordered "$features")" ]]; then
  if [[ -n $features ]]; then changes+=(--features "$features"); else surplus+=(features); fi
fi
index=0
for device in "$@"; do
  [[ $(value "dev$index") == "$device,mode=0666" ]] || changes+=("--dev$index" "$device,mode=0666")
  index=$((index + 1))
done
while read -r key; do
  [[ -z $key || ${key#dev} -lt $index ]] || surplus+=("$key")
done < <(sed -n 's/^\(dev[0-9]*\): .*/\1/p' <<<"$config")
if ((${#surplus[@]})); then changes+=(--delete "$(IFS=,; printf '%s' "${surplus[*]}")"); fi

((${#changes[@]})) || exit 0
pct set "$vmid" "${changes[@]}"
[[ $(pct status "$vmid") == *running* ]] || exit 0
[[ $restart == yes ]] || exit 3
pct reboot "$vmid"
