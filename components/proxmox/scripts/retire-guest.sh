#!/usr/bin/env bash
# Runs on a Proxmox node: takes a guest out of service and keeps it, or deletes one that was.
# Arguments: keep or delete, qm or pct, VMID.
set -euo pipefail
what=$1 tool=$2 vmid=$3
say() { printf 'guest %s: %s\n' "$vmid" "$*"; }

stopped() { [[ $("$tool" status "$vmid") == *stopped* ]]; }
tags=$("$tool" config "$vmid" | sed -n 's/^tags: //p')

case $what in
  keep)
    if ! stopped; then
      say "shuts down"
      "$tool" shutdown "$vmid" --timeout 120 || "$tool" stop "$vmid"
      stopped || {
        say "still runs" >&2
        exit 1
      }
    fi
    "$tool" set "$vmid" --onboot 0 --tags "${tags:+$tags;}retired" >/dev/null
    storage=$(pvesm status --content backup --enabled 1 | awk 'NR > 1 && $3 == "active" { print $1; exit }')
    if [[ -n $storage ]]; then
      say "final backup to $storage"
      vzdump "$vmid" --mode stop --compress zstd --storage "$storage" --notes-template 'retired by aether: {{guestname}}'
    else
      say "no storage takes backups: there is none but its disks"
    fi
    say "stopped, kept with its disks"
    ;;
  delete)
    [[ ";${tags//,/;};" == *';retired;'* ]] || {
      say "has no tag retired: only a retired guest is deleted" >&2
      exit 1
    }
    stopped || {
      say "runs: only a stopped guest is deleted" >&2
      exit 1
    }
    "$tool" destroy "$vmid"
    say "deleted; its backups stay"
    ;;
  *)
    say "unknown: $what" >&2
    exit 2
    ;;
esac
