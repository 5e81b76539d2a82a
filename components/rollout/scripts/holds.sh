#!/usr/bin/env bash
# shellcheck disable=SC2154,SC2034 # run, failed and the like are host.sh's
# Runs on a NixOS host, behind host.sh: the health checks of standard input (KIND, VALUE, STATUS, SECONDS; tab-separated, one a line) hold,
# and go on holding. Changes nothing.
# Arguments: own address, seconds for which they go on.
: "${run:?host.sh comes first}"
address=$1
file=$(mktemp)
trap 'rm -f "$file" "$file.again"' EXIT
cat >"$file"
if ! check_all "$file" || ! stay_healthy "$file" "$2"; then
  evidence
  say "not healthy: $failed"
  exit 31
fi
