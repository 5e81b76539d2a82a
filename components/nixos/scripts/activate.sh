#!/usr/bin/env bash
# shellcheck disable=SC2154,SC2034 # run, state, profile, failed and the like are host.sh's
# Runs on the host, behind host.sh: activates a closure for a trial, armed to revert, and proves its health.
# Arguments: expected host name, closure, seconds until an unconfirmed activation reverts, deployment id, own address, seconds for
# which the health checks have to hold.
# Standard input: health checks, one a line.  Standard output: "unchanged" or "pending".
: "${run:?host.sh comes first}"
expected=$1 target=$2 window=$3 id=$4
address=$5 settle=$6
activation_limit=600

cat >"$run/checks.$id"
trap 'rm -f "$run/checks.$id" "$run/failed.$id"' EXIT
expect_host "$expected"
lock "$id"
[[ -x $target/bin/switch-to-configuration ]] || fail 11 "$target is not a NixOS system on this machine; the copy was not complete"

if [[ -e $run/pending ]] && systemctl is-active --quiet aether-revert.timer; then
  fail 20 "deployment $(head -n 1 "$run/pending") waits for its confirmation. Try again when it is done"
fi

previous=$(current)
if [[ $previous == "$target" && $(readlink -f "$profile") == "$target" ]]; then
  check_all "$run/checks.$id" || {
    evidence
    fail 31 "runs the wanted system already, but is not healthy: $failed"
  }
  say "runs it already, healthy"
  printf 'unchanged\n'
  exit 0
fi

cat >"$run/revert" <<EOF
#!$(command -v bash)
# Written by deployment $id: back to the system before it.
PATH=$previous/sw/bin:\$PATH
if [ "\$(readlink -f $profile)" = "$target" ]; then
  nix-env -p $profile --set $previous
  $previous/bin/switch-to-configuration boot
fi
$previous/bin/switch-to-configuration test >>$log 2>&1
printf '%s reverted to %s\n' "$id" "$previous" >>$state/reverted
rm -f $run/pending
EOF
printf '%s\n%s\n%s\n' "$id" "$target" "$previous" >"$run/pending"

revert_now() {
  disarm
  bash "$run/revert" 9>&- || say "the revert itself reported an error, see $log"
}

# units_that_fail: those that have failed, and those that systemd starts again and again.
units_that_fail() { systemctl list-units --all --plain --no-legend --state=failed,auto-restart | cut -d' ' -f1; }

# only_earlier_failures: whether nothing went wrong but units that had failed before. switch-to-configuration lists those too, and
# to revert mends none of them.
only_earlier_failures() {
  local listed unit
  ! grep -qE '^(Failed to |warning: user activation|warning: the following user units failed)' "$log" || return 1
  listed=$(sed -n 's/^warning: the following units failed: //p' "$log" | tail -n 1)
  [[ -n $listed ]] || return 1
  for unit in ${listed//,/ }; do
    grep -qxF -- "$unit" "$run/failed.$id" || return 1
  done
  say "had failed before, and still do: $listed"
}

units_that_fail >"$run/failed.$id"
arm "$activation_limit"
say "activates $target for a trial"
status=0
timeout "$((activation_limit - 30))" "$target/bin/switch-to-configuration" test >"$log" 2>&1 9>&- || status=$?
if ((status == 4)) && only_earlier_failures; then status=0; fi
if ((status != 0)); then
  failed_unit=''
  evidence
  revert_now
  fail 30 "activation failed (switch-to-configuration said $status); back on generation $(generation) ($previous)"
fi
if ! check_all "$run/checks.$id" || ! stay_healthy "$run/checks.$id" "$settle"; then
  evidence
  revert_now
  fail 31 "not healthy after activation: $failed; back on generation $(generation) ($previous)"
fi
arm "$window"
say "healthy; without a confirmation it reverts in $window s"
printf 'pending\n'
