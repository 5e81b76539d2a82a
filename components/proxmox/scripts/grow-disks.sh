#!/usr/bin/env bash
# Grows the disks of a virtual machine to the sizes of its inventory entry, in place, through the node that it runs on.
# Environment: AETHER_HOST, AETHER_NODE, AETHER_VMID, AETHER_DISKS (a line each: interface, GiB), AETHER_SSH_CONFIG.
# Exit codes: 12, 22 as everywhere; 43 a disk cannot become what is wanted.
# shellcheck source=components/scripts/operator.sh
source components/scripts/operator.sh

change_guest vm-disks.sh "grow the disks of virtual machine $AETHER_VMID" <<<"$AETHER_DISKS"
