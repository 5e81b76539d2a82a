# shellcheck shell=bash
# backup-done.sh FILE: leaves the time of the last good backup for the node exporter, whole or not at all.
set -euo pipefail
{
  echo '# HELP aether_backup_last_success_timestamp_seconds When the last backup succeeded.'
  echo '# TYPE aether_backup_last_success_timestamp_seconds gauge'
  printf 'aether_backup_last_success_timestamp_seconds %s\n' "$EPOCHSECONDS"
} >"$1.new"
chmod 0644 "$1.new"
mv "$1.new" "$1"
