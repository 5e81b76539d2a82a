#!/usr/bin/env bash
# Runs on a Proxmox node: reboots a guest of this node by Proxmox, which gives it what waits for its next start.
# Arguments: qm or pct, VMID.  Exit 3: the guest is not on this node.
set -euo pipefail
tool=$1 vmid=$2

"$tool" status "$vmid" >/dev/null 2>&1 || exit 3
"$tool" pending "$vmid" | sed -nE "s/^new (.*)/guest $vmid: gets \1/p; s/^del (.*)/guest $vmid: loses \1/p"
"$tool" reboot "$vmid" --timeout 180
