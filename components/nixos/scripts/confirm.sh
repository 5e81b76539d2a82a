#!/usr/bin/env bash
# shellcheck disable=SC2154,SC2034 # run, state, profile, failed and the like are host.sh's
# Runs on the host, behind host.sh, over a connection made after the activation: makes the trial permanent.
# Arguments: expected host name, closure, deployment id, desired closure as the operator calls it, reboot policy (never, ask, auto),
# revision of the repository.
# Standard output: JSON with closure, generation, reboot (needed to run all of it).
: "${run:?host.sh comes first}"
expected=$1 target=$2 id=$3 desired=$4
policy=$5 revision=${6:--}

expect_host "$expected"
# An activation or a confirmation whose connection was lost may still be at work; an activation takes its time.
patience=20
[[ $(cat "$run/holder" 2>/dev/null) != "$id (pid "* ]] || patience=${AETHER_ACTIVATION_LIMIT:-600}
lock "$id" "$patience"
if [[ $(current) != "$target" ]]; then
  fail 32 "did not keep $target: the confirmation came too late and the host went back to $(current)"
fi
commit "$(sed -n 3p "$run/pending" 2>/dev/null)"
disarm
rm -f "$run/pending" "$run/revert" "$state/boot-trial"
reboot=$(needs_reboot "$target" && echo true || echo false)
# A deployment that boots the host is over when the host came back: after-boot.sh records it.
[[ $policy == auto && $reboot == true ]] || record "$desired" "$target"
say "committed as generation $(generation)"
printf '{"closure": "%s", "generation": %s, "reboot": %s}\n' "$target" "$(generation)" "$reboot"
