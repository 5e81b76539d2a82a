#!/usr/bin/env bash
# Reboots a host and proves that it came back on the given closure, healthy. Argument: closure. Standard input: deploy.sh's result.
# Where it comes back on another system (boot counting fell back), the profile is set to what it runs, so that the boot loader's
# choice and the profile agree again. Environment as deploy.sh; AETHER_BOOT_TIMEOUT seconds (default 300).
# shellcheck source=components/scripts/operator.sh
source components/scripts/operator.sh
# shellcheck source=components/nixos/scripts/protocol.sh
source components/nixos/scripts/protocol.sh
closure=$1
result=$(cat)

reboot_and_wait

address=$(own_address "$AETHER_HOST")
status=0
printf '%s' "$AETHER_CHECKS" | on_host after-boot \
  "$AETHER_HOSTNAME" "$closure" "$address" "${AETHER_DESIRED:--}" "$(revision)" "$(id -un)@$HOSTNAME:$$" || status=$?
((status == 0)) || exit "$status"
say "came back on it, healthy"
printf '%s\n' "${result/\"reboot\": true/\"reboot\": false}"
