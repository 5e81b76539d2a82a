#!/usr/bin/env bash
# Runs on a Proxmox node: gives a running guest the address of its inventory entry, beside the one that its system has, until the
# system that has it is deployed: that one owns its addresses, and is deployed over the network.
# Arguments: qm or pct, VMID, ADDRESS/PREFIX, gateway.  Exit 3: the guest is not on this node.
set -euo pipefail
tool=$1 vmid=$2 address=$3 gateway=$4

"$tool" status "$vmid" >/dev/null 2>&1 || exit 3
if [[ $tool == qm ]]; then inside=(qm guest exec "$vmid" --timeout 20 --); else inside=(pct exec "$vmid" --); fi

status=0
# shellcheck disable=SC2016 # expands in the guest
said=$("${inside[@]}" /bin/sh -c '
  set -eu
  PATH=/run/current-system/sw/bin:/usr/sbin:/usr/bin:/sbin:/bin
  card=$(ip -o -4 route show default | sed -n "s/.* dev \([^ ]*\).*/\1/p" | sed -n 1p)
  if ip -o -4 address show dev "$card" | grep -wF "$1" >/dev/null; then
    echo "it has $1 already" >&2
    exit 1
  fi
  ip address add "$1" dev "$card"
  ip route replace default via "$2" dev "$card"
' aether "$address" "$gateway" 2>&1) || status=$?
# The agent's answer is what the command ended with.
if [[ $tool == qm ]] && ((status == 0)); then
  grep -Eq '"exitcode" *: *0' <<<"$said" || status=1
fi
if ((status != 0)); then
  printf 'guest %s was not given %s: %s\n' "$vmid" "$address" "$said" >&2
  exit 1
fi
printf 'guest %s: is given %s, until its system has it\n' "$vmid" "$address"
