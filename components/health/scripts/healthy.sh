#!/usr/bin/env bash
# Waits until a host's health checks hold. Prints the host's name then.
# Environment: AETHER_HOST, AETHER_SSH_CONFIG, AETHER_CHECKS (KIND, VALUE, STATUS, SECONDS; tab-separated, one a line).
# Exit codes: 12 unreachable, 22 wrong host key, 31 not healthy.
# shellcheck source=components/scripts/operator.sh
source components/scripts/operator.sh

status=0
wait_for "$AETHER_HOST" "${AETHER_WAIT:-20}" || status=$?
((status == 0)) || fail "$status" "$(explain "$status" "$AETHER_HOST")"
prove_health "$AETHER_HOST" <<<"$AETHER_CHECKS"
printf '%s\n' "$AETHER_HOST"
