#!/usr/bin/env bash
# Deploys a closure that cannot be switched to, where the host may reboot: armed for one boot, rebooted into, proved healthy, made the
# boot default. Everything else leads back to the system before: a kernel that hangs, a boot that nobody confirms, a power cut.
# Arguments: closure, deployment id. Environment as deploy.sh. Standard output: as deploy.sh's.
# shellcheck source=components/scripts/operator.sh
source components/scripts/operator.sh
# shellcheck source=components/nixos/scripts/protocol.sh
source components/nixos/scripts/protocol.sh
closure=$1 id=$2 window=${AETHER_BOOT_TIMEOUT:-300}

[[ ${AETHER_REBOOT:-ask} == auto ]] ||
  fail 38 "its new system cannot be switched to, only booted, and a reboot is not allowed. Fix: write reboot = \"auto\" for it in the inventory"
on_host arm-boot "$AETHER_HOSTNAME" "$closure" "$id" "$window" "$(boot_limit)" \
  </dev/null || exit $?
reboot_and_wait
say "came back; checks its health"
printf '%s' "$AETHER_CHECKS" | insist "$window" "after the boot; the host boots back into its previous system on its own" \
  confirm-boot "$closure" "$(own_address "$AETHER_HOST")" "$AETHER_DESIRED" "$AETHER_SETTLE" "$(revision)"
