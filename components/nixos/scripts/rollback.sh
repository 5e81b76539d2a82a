#!/usr/bin/env bash
# Takes a host back to the system before its current one, by the same protocol as a deployment: trial, health, confirmation.
# The host goes on saying what was deployed to it, so `make drift` shows the difference until a deployment settles it.
# Environment: AETHER_HOST, AETHER_HOSTNAME, AETHER_CHECKS, AETHER_SETTLE, AETHER_CONFIRM_TIMEOUT, AETHER_SSH_CONFIG.
# Exit codes as deploy.sh; 36: none.
# shellcheck source=components/scripts/operator.sh
source components/scripts/operator.sh
# shellcheck source=components/nixos/scripts/protocol.sh
source components/nixos/scripts/protocol.sh
id="rollback-$(id -un)@$HOSTNAME-$$"

status=0
meet 0 || status=$?
((status == 0)) || fail "$status" "$(explain "$status" "$AETHER_HOST")"
target=$(on_host previous "$AETHER_HOSTNAME" </dev/null) || exit $?
say "goes back to $target"
activate_for_trial "$target" "$id"
close_connection
if [[ $tried == boot ]]; then
  AETHER_DESIRED=- "$scripts/boot-trial.sh" "$target" "$id" >/dev/null || exit $?
  exit
fi
confirm "$target" "$id" - >/dev/null
