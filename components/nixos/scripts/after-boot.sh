#!/usr/bin/env bash
# shellcheck disable=SC2154,SC2034 # run, state, profile, failed and the like are host.sh's
# Runs on the host, behind host.sh, after a reboot: is this the system that was to be booted, and is it healthy?
# Arguments: expected host name, closure, own address, desired closure as the operator calls it, revision of the
# repository, deployment id. Standard input: health checks.
: "${run:?host.sh comes first}"
expected=$1 target=$2
address=$3 desired=$4 revision=${5:--} id=${6:-unknown}
checks=$(mktemp "$run/checks.XXXXXX")
trap 'rm -f "$checks"' EXIT
cat >"$checks"
expect_host "$expected"
if [[ $(booted) != "$target" ]]; then
  nix-env -p "$profile" --set "$(current)"
  fail 35 "came back on $(booted) instead of $target: the boot loader fell back. The profile was set back to it"
fi
if ! check_all "$checks"; then
  evidence
  fail 31 "not healthy after the reboot: $failed. Way back: make rollback HOST=$expected"
fi
record "$desired" "$target"
