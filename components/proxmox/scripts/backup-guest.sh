#!/usr/bin/env bash
# Runs on a Proxmox node: a last backup of a guest whose disks are to be erased, while it runs.
# Argument: VMID. Its beginning is final-backup.sh.
# shellcheck source=components/proxmox/scripts/final-backup.sh
set -euo pipefail
status=0
final_backup "$1" snapshot 'before its reinstallation by aether: {{guestname}}' || status=$?
if ((status == 4)); then printf 'guest %s: no storage takes backups\n' "$1" >&2; fi
exit "$status"
