#!/usr/bin/env bash
# Runs on a Proxmox node: waits until a guest that asks the router for its address has the one that is reserved for its card.
# Arguments: vm or lxc, VMID, ADDRESS, MAC, seconds to wait.  VM: by the guest agent.  LXC: /nodes/NODE/lxc/VMID/interfaces.
set -euo pipefail
kind=$1 vmid=$2 address=$3 mac=$4 deadline=$((SECONDS + $5))
tools=/run/current-system/sw/bin

interfaces() {
  case $kind in
    vm) qm guest cmd "$vmid" network-get-interfaces ;;
    lxc) pvesh get "/nodes/$(hostname)/lxc/$vmid/interfaces" --output-format json ;;
  esac
}

# Every IPv4 address of the guest but the loopback's and those that it gave itself.
addresses() {
  { interfaces 2>/dev/null || true; } | grep -Eo '"(ip-address|inet)" *: *"[0-9.]+' | grep -Eo '[0-9.]+$' | grep -Ev '^(127|169\.254)\.' | sort -u || true
}

# A reservation that was made since holds from the next request on.
ask_again() {
  # shellcheck disable=SC2016 # expands in the guest
  local renew='for link in /sys/class/net/*; do networkctl renew "${link##*/}"; done'
  case $kind in
    vm) qm guest exec "$vmid" --timeout 30 -- "$tools/bash" -c "PATH=$tools:\$PATH; $renew" ;;
    lxc) pct exec "$vmid" -- "$tools/bash" -c "PATH=$tools:\$PATH; $renew" ;;
  esac >/dev/null 2>&1 </dev/null || true
}

while :; do
  found=$(addresses)
  if grep -Fxq "$address" <<<"$found"; then exit 0; fi
  ((SECONDS < deadline)) || break
  sleep 5
  ask_again
done
if [[ -n $found ]]; then
  printf 'guest %s: has %s, and not %s, which the router should give to %s\n' "$vmid" "$(paste -sd' ' <<<"$found")" "$address" "$mac" >&2
else
  printf 'guest %s: no router gave it an address (its card is %s)\n' "$vmid" "$mac" >&2
fi
exit 1
