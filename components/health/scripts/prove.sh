#!/usr/bin/env bash
# shellcheck disable=SC2154,SC2034 # failed is health.sh's, which reads address
# Runs on a host, behind health.sh: the health checks of standard input hold, each within its own time, and go on holding. Changes nothing.
# Arguments: seconds for which they go on, default 0; own address, default the first that it has. Exit code: 31 not healthy.
set -euo pipefail
say() { printf '%s: %s\n' "$(hostname)" "$*" >&2; }
address=${2:-$(hostname -I | awk '{ print $1 }')}
file=$(mktemp)
trap 'rm -f "$file" "$file.again"' EXIT
cat >"$file"
if ! check_all "$file" || ! stay_healthy "$file" "${1:-0}"; then
  say "not healthy: $failed"
  [[ -z ${failed_unit:-} ]] || journalctl --no-pager --unit="$failed_unit" --lines=5 2>/dev/null | sed 's/^/    /' >&2 || true
  exit 31
fi
