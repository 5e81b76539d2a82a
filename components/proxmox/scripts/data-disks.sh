#!/usr/bin/env bash
# Gives a container the data disks of its inventory entry, in place, through the node that it runs on.
# Environment: AETHER_HOST, AETHER_NODE, AETHER_VMID, AETHER_DISKS (a line each: mount, GiB, datastore), AETHER_SSH_CONFIG,
#   PULUMI_COMMAND_STDOUT (the mounts that an earlier run kept).
# Standard output: the mounts, one a line.  Exit codes: 12, 22 as everywhere; 43 a disk cannot become what is wanted.
# shellcheck source=components/scripts/operator.sh
source components/scripts/operator.sh

wanted=$(cut -d' ' -f1 <<<"$AETHER_DISKS")
# What was ours and is no longer wanted is detached; mount points that somebody else made are left alone.
dropped=$(comm -23 <(sort <<<"${PULUMI_COMMAND_STDOUT:-}") <(sort <<<"$wanted") | sed '/^$/d')
if [[ -n $AETHER_DISKS || -n $dropped ]]; then
  change_guest container-disks.sh "give container $AETHER_VMID its data disks" < <(
    printf '%s\n' "$AETHER_DISKS"
    while read -r mount; do [[ -z $mount ]] || printf '%s 0 -\n' "$mount"; done <<<"$dropped"
  )
fi
printf '%s\n' "$wanted"
