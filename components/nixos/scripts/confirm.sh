#!/usr/bin/env bash
# shellcheck disable=SC2154,SC2034 # run, state, profile, failed and the like are host.sh's
# Runs on the host, behind host.sh, over a connection made after the activation: makes the trial permanent.
# Arguments: expected host name, closure, deployment id, desired closure as the operator calls it.
# Standard output: JSON with closure, generation, reboot (needed to run all of it).
: "${run:?host.sh comes first}"
expected=$1 target=$2 id=$3 desired=$4

expect_host "$expected"
# A confirmation whose connection was lost may still be at work.
lock "$id" 20
if [[ $(current) != "$target" ]]; then
  fail 32 "did not keep $target: the confirmation came too late and the host went back to $(current)"
fi
if [[ $(readlink -f "$profile") != "$target" ]]; then
  nix-env -p "$profile" --set "$target" || fail 33 "could not set the system profile"
  "$target/bin/switch-to-configuration" boot >>"$log" 2>&1 || fail 33 "could not make it the boot default, see $log"
fi
disarm
rm -f "$run/pending" "$run/revert"
# A rollback (-) is no deployment: what was deployed stays on record, and the difference shows as drift.
if [[ $desired != - ]]; then
  printf '%s %s\n' "$desired" "$target" >"$state/deployed.new"
  mv "$state/deployed.new" "$state/deployed"
fi
say "committed as generation $(generation)"
printf '{"closure": "%s", "generation": %s, "reboot": %s}\n' "$target" "$(generation)" \
  "$(needs_reboot "$target" && echo true || echo false)"
