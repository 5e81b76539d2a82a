#!/usr/bin/env bash
# Takes a Fedora Atomic host back to the deployment before the booted one, and boots it.
# Environment: AETHER_HOST, AETHER_HOSTNAME, AETHER_SSH_CONFIG, AETHER_BOOT_TIMEOUT seconds. Exit codes as rebase.sh.
# shellcheck source=components/scripts/operator.sh
source components/scripts/operator.sh

name=$(remote "$AETHER_HOST" hostname </dev/null) || fail 12 "$AETHER_HOST does not answer on SSH"
[[ $name == "$AETHER_HOSTNAME" ]] || fail 21 "this machine calls itself $name, not $AETHER_HOSTNAME; nothing was changed"
remote "$AETHER_HOST" rpm-ostree rollback </dev/null >&2 || fail 60 "rpm-ostree rollback failed"
reboot_and_wait
say "is back on the deployment before"
