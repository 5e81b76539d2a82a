#!/usr/bin/env bash
# Proves the way from the public gateway home. Prints `proved`, or `not proved` while there is no home to reach.
# Environment: AETHER_HOST, AETHER_SSH_CONFIG, AETHER_SERVICE (its public name), AETHER_HOME (address of home's gateway; empty: not
# deployed), AETHER_TIMEOUT (seconds).
# Exit codes: 12 unreachable, 22 wrong host key, 31 no way home.
# shellcheck source=components/scripts/operator.sh
source components/scripts/operator.sh

if [[ -z $AETHER_HOME ]]; then
  printf '%s: the way home is not proved: no stack with the homelab is deployed yet. Deploy it, then this again\n' "$AETHER_HOST" >&2
  printf 'not proved\n'
  exit 0
fi
status=0
wait_for "$AETHER_HOST" "${AETHER_WAIT:-20}" || status=$?
((status == 0)) || fail "$status" "$(explain "$status" "$AETHER_HOST")"
run_on "$AETHER_HOST" components/scripts/check-way-home.sh "$AETHER_SERVICE" "$AETHER_TIMEOUT" </dev/null || status=$?
((status == 0)) || fail 31 "$AETHER_SERVICE cannot be reached from outside. Look at wireproxy.service on the homelab's gateway and at both halves of the tunnel's keys (nix/pki/*-wireguard.pub)"
printf 'proved\n'
