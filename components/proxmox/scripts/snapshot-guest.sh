#!/usr/bin/env bash
# Runs on a Proxmox node: the snapshot `aether` of a guest of this node, before a deployment.
# Arguments: qm or pct, VMID, take or drop.  Exit 3: the guest is not on this node.
set -euo pipefail
tool=$1 vmid=$2 what=$3
name=aether

"$tool" status "$vmid" >/dev/null 2>&1 || exit 3
# Not grep -q: it would leave before the list is over, and break the pipe.
there() { "$tool" listsnapshot "$vmid" | grep -w "$name" >/dev/null; }

case $what in
  take)
    # Of a deployment that failed: the guest went back, and goes on from there.
    if there; then "$tool" delsnapshot "$vmid" "$name" >/dev/null; fi
    if ! said=$("$tool" snapshot "$vmid" "$name" --description 'before a deployment' 2>&1); then
      printf 'guest %s: %s\n' "$vmid" "$said"
      [[ $said == *'snapshot feature is not available'* ]] || exit 1
      exit 0
    fi
    printf 'guest %s: has snapshot %s until the deployment is committed (way back: %s rollback %s %s)\n' \
      "$vmid" "$name" "$tool" "$vmid" "$name"
    ;;
  drop)
    if there; then "$tool" delsnapshot "$vmid" "$name" >/dev/null; fi
    ;;
  *)
    printf 'unknown: %s\n' "$what" >&2
    exit 2
    ;;
esac
