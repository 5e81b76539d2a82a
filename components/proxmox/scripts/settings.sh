#!/usr/bin/env bash
# Gives a container the name, memory, network interfaces and nesting of its inventory entry, in place, through the node that it runs on.
# Environment: AETHER_HOST, AETHER_NODE, AETHER_VMID, AETHER_SETTINGS (a line each, as container-settings.sh has them),
#   AETHER_SSH_CONFIG.
# Exit codes: 12, 22 as everywhere; 43 Proxmox refused it.
# shellcheck source=components/scripts/operator.sh
source components/scripts/operator.sh

change_guest container-settings.sh "change container $AETHER_VMID" <<<"$AETHER_SETTINGS"
