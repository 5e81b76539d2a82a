#!/usr/bin/env bash
# Gives a container the name, memory, network interfaces and nesting of its inventory entry, in place, through the node that it runs on.
# Environment: AETHER_HOST, AETHER_NODE, AETHER_VMID, AETHER_SETTINGS (a line each, as container-settings.sh has them),
#   AETHER_SSH_CONFIG.
# Exit codes: 12, 22 as everywhere; 43 Proxmox refused it.
# shellcheck source=components/scripts/operator.sh
source components/scripts/operator.sh

status=0
run_on "$AETHER_NODE" components/proxmox/scripts/container-settings.sh "$AETHER_VMID" <<<"$AETHER_SETTINGS" >&2 || status=$?
if ((status == 255)); then
  reachable "$AETHER_NODE" || fail $? "$(explain $? "$AETHER_NODE")"
fi
((status == 0)) || fail 43 "$AETHER_NODE could not change container $AETHER_VMID; what it has is kept"
