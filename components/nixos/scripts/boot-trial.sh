#!/usr/bin/env bash
# Deploys a closure that cannot be switched to: armed for one boot, rebooted into, proved healthy, made the boot default. Everything
# else leads back to the system before: a kernel that hangs, a boot that nobody confirms, a power cut.
# Arguments: closure, deployment id. Environment as deploy.sh. Standard output: as deploy.sh's.
# shellcheck source=components/scripts/operator.sh
source components/scripts/operator.sh
scripts=components/nixos/scripts
closure=$1 id=$2

run_on "$AETHER_HOST" "$scripts/host.sh $scripts/arm-boot.sh" "$AETHER_HOSTNAME" "$closure" "$id" "${AETHER_BOOT_TIMEOUT:-300}" \
  </dev/null || exit $?
reboot_and_wait
printf '%s' "$AETHER_CHECKS" | run_on "$AETHER_HOST" "$scripts/host.sh $scripts/confirm-boot.sh" "$AETHER_HOSTNAME" "$closure" \
  "$(own_address "$AETHER_HOST")" "$AETHER_DESIRED" "$AETHER_SETTLE"
