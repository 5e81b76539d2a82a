#!/usr/bin/env bash
# Runs on a Proxmox node: takes a guest out of service and keeps it, or deletes one that was.
# Arguments: keep or delete, qm or pct, VMID. Its beginning is final-backup.sh.
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
    final_backup "$vmid" stop 'retired by aether: {{guestname}}' || {
      (($? == 4)) || exit 1
      say "no storage takes backups: there is none but its disks"
    }
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
