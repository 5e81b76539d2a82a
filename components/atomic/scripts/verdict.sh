#!/usr/bin/env bash
# Runs on the host, behind host.sh: greenboot's verdict on this boot, then the health checks. Changes nothing.
# Argument: own address. Standard input: health checks. Standard output: what is wrong. Exit codes: 62 greenboot, 63 health.
# shellcheck disable=SC2154,SC2034 # run, failed and the like are host.sh's
: "${run:?host.sh comes first}"
address=$1
checks=$(mktemp "$run/checks.XXXXXX")
trap 'rm -f "$checks"' EXIT
cat >"$checks"
deadline=$((SECONDS + 120))
while [[ $(systemctl is-active greenboot-healthcheck.service 2>/dev/null) == activating ]] && ((SECONDS < deadline)); do sleep 0.3; done
if systemctl is-failed --quiet greenboot-healthcheck.service; then
  printf 'greenboot-healthcheck failed\n'
  exit 62
fi
check_all "$checks" || {
  printf '%s\n' "$failed"
  exit 63
}
