#!/usr/bin/env bash
# Takes a host back to the system before its current one, by the same protocol as a deployment: trial, health, confirmation.
# The host goes on saying what was deployed to it, so `make drift` shows the difference until a deployment settles it.
# Environment: AETHER_HOST, AETHER_HOSTNAME, AETHER_CHECKS, AETHER_CONFIRM_TIMEOUT, AETHER_SSH_CONFIG. Exit codes as deploy.sh; 36: none.
# shellcheck source=components/scripts/operator.sh
source components/scripts/operator.sh
scripts=components/nixos/scripts
id="rollback-$(id -un)@$(uname -n)-$$"

status=0
reachable "$AETHER_HOST" || status=$?
((status == 0)) || fail "$status" "$(explain "$status" "$AETHER_HOST")"
target=$(run_on "$AETHER_HOST" "$scripts/host.sh $scripts/previous.sh" "$AETHER_HOSTNAME" </dev/null) || exit $?
say "goes back to $target"
printf '%s' "$AETHER_CHECKS" | run_on "$AETHER_HOST" "$scripts/host.sh $scripts/activate.sh" \
  "$AETHER_HOSTNAME" "$target" "$AETHER_CONFIRM_TIMEOUT" "$id" "$(own_address "$AETHER_HOST")" >/dev/null || exit $?
status=0
wait_for "$AETHER_HOST" "$AETHER_CONFIRM_TIMEOUT" || status=$?
((status == 0)) || fail 32 "no new connection within $AETHER_CONFIRM_TIMEOUT s; the host goes forward again on its own"
run_on "$AETHER_HOST" "$scripts/host.sh $scripts/confirm.sh" "$AETHER_HOSTNAME" "$target" "$id" - </dev/null >/dev/null
