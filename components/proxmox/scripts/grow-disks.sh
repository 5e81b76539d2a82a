#!/usr/bin/env bash
# Grows the disks of a virtual machine to the sizes of its inventory entry, in place, through the node that it runs on.
# Environment: AETHER_HOST, AETHER_NODE, AETHER_VMID, AETHER_DISKS (a line each: interface, GiB), AETHER_SSH_CONFIG.
# Exit codes: 12, 22 as everywhere; 43 a disk cannot become what is wanted.
# shellcheck source=components/scripts/operator.sh
source components/scripts/operator.sh

status=0
run_on "$AETHER_NODE" components/proxmox/scripts/vm-disks.sh "$AETHER_VMID" <<<"$AETHER_DISKS" >&2 || status=$?
if ((status == 255)); then
  reachable "$AETHER_NODE" || fail $? "$(explain $? "$AETHER_NODE")"
fi
((status == 0)) || fail 43 "$AETHER_NODE could not grow the disks of virtual machine $AETHER_VMID; what it has is kept"
