#!/usr/bin/env bash
# shellcheck disable=SC2154,SC2034 # run, state, profile, failed and the like are host.sh's
# Runs on the host, behind host.sh: activates a closure for a trial, armed to revert, and proves its health.
# Arguments: expected host name, closure, seconds until an unconfirmed activation reverts, deployment id, own address, seconds for
# which the health checks have to hold, units that may fail (names or globs, in one text).
# Standard input: health checks, one a line.  Standard output: "unchanged", "pending", or "boot": this system cannot be switched to.
: "${run:?host.sh comes first}"
expected=$1 target=$2 window=$3 id=$4
address=$5 settle=$6
read -ra may_fail <<<"${7:-}"
# Of a test, shorter.
activation_limit=${AETHER_ACTIVATION_LIMIT:-600}

cat >"$run/checks.$id"
trap 'rm -f "$run/checks.$id" "$run/failed.$id"' EXIT
expect_host "$expected"
lock "$id"
mapfile -t -O "${#may_fail[@]}" may_fail < <(awk -F '\t' '$1 == "unit" && $5 == "warn" { print $2 }' "$run/checks.$id")
[[ -x $target/bin/switch-to-configuration ]] || fail 11 "$target is not a NixOS system on this machine; the copy was not complete"

if [[ -e $run/pending ]] && systemctl is-active --quiet aether-revert.timer; then
  fail 20 "deployment $(head -n 1 "$run/pending") waits for its confirmation. Try again when it is done"
fi

if [[ -e $state/boot-trial ]]; then
  tried=$(sed -n 2p "$state/boot-trial")
  if [[ $(booted) != "$tried" ]]; then
    # Over, or armed by somebody who went away before the reboot.
    bootctl set-oneshot '' >/dev/null 2>&1 || true
    rm -f "$state/boot-trial"
  elif [[ $tried != "$target" ]]; then
    fail 20 "boots $tried for a trial of $(sed -n 1p "$state/boot-trial"), which waits for its confirmation. Try again when it is done"
  fi
fi

previous=$(current)
if [[ $previous == "$target" && $profile -ef $target ]]; then
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
# Somebody who switches by hand meanwhile is waited for: a reboot would end it half-way.
tries=0
while :; do
  status=0
  said=\$(NIXOS_NO_CHECK=1 $previous/bin/switch-to-configuration test 2>&1) || status=\$?
  printf '%s\n' "\$said" >>$log
  if [ \$status = 0 ] || [ \$tries -ge $activation_limit ]; then break; fi
  case "\$said" in *'Could not acquire lock'*) ;; *) break ;; esac
  tries=\$((tries + 1))
  sleep 1
  # Confirmed meanwhile.
  [ -e $run/pending ] || exit 0
done
printf '%s reverted to %s\n' "$id" "$previous" >>$state/reverted
printf '{"at": %s, "id": "%s", "from": "%s", "outcome": "reverted", "closure": "%s"}\n' "\$(date +%s)" "$id" "${SSH_CONNECTION%% *}" "$target" >>$state/deployments.jsonl
rm -f $run/pending
# Units that fail on the old system too are as they were. A way back that breaks off, or leads elsewhere, ends in the boot entry,
# which was never another one.
if [ "\$(readlink -f /run/current-system)" != "$previous" ] || { [ \$status != 0 ] && [ \$status != 4 ]; }; then
  printf '%s could not be reverted (status %s): boots %s\n' "$id" "\$status" "$previous" >>$state/reverted
  sync
  $(declare -f reboot_soon)
  reboot_soon
  exit 37
fi
EOF
printf '%s\n%s\n%s\n' "$id" "$target" "$previous" >"$run/pending"

# revert_now CODE WHY: back to the system before, or, where that fails, to the boot entry; ends with CODE.
revert_now() {
  local status=0
  disarm
  bash "$run/revert" 9>&- || status=$?
  ((status != 37)) || fail 37 "$2; the way back failed too (see $state/reverted), so it reboots into $previous"
  fail "$1" "$2; back on generation $(generation) ($previous)"
}

# units_that_fail: those that have failed, and those that systemd starts again and again.
units_that_fail() { systemctl list-units --all --plain --no-legend --state=failed,auto-restart | cut -d' ' -f1; }

# judge: which units this switch broke, in $broken: those that fail now and did not before, and neither wait for another host nor are
# among those that may. The others are told, and are in $excused. Whether the host does what it is for, the health checks say.
judge() {
  local unit pattern allowed hosts earlier=() waiting=() tolerated=()
  broken=() excused=()
  while read -r unit; do
    if grep -qxF -- "$unit" "$run/failed.$id"; then
      earlier+=("$unit")
      continue
    fi
    hosts=$(awk -v unit="$unit" '$1 == unit { $1 = ""; print }' "$target/etc/aether/waits-for" 2>/dev/null || true)
    if [[ -n $hosts ]]; then
      waiting+=("$unit (${hosts# })")
      continue
    fi
    allowed=false
    # shellcheck disable=SC2053 # a glob of the inventory
    for pattern in "${may_fail[@]}"; do [[ $unit == $pattern ]] && allowed=true; done
    if $allowed; then tolerated+=("$unit"); else broken+=("$unit"); fi
  done < <({
    units_that_fail
    sed -nE 's/^Failed to (start|restart|reload) ([^ :]+).*/\2/p' "$log"
  } | sort -u)
  ((${#earlier[@]} == 0)) || say "had failed before, and still do: ${earlier[*]}"
  ((${#tolerated[@]} == 0)) || say "may fail, and do: ${tolerated[*]}"
  ((${#waiting[@]} == 0)) || say "wait for other hosts, and do not run yet: ${waiting[*]}"
  excused=("${earlier[@]}" "${waiting[@]}" "${tolerated[@]}")
}

broken=()
units_that_fail >"$run/failed.$id"
arm "$activation_limit"
say "activates $target for a trial"
status=0
timeout "$((activation_limit - 30))" "$target/bin/switch-to-configuration" test >"$log" 2>&1 9>&- || status=$?
if ((status == 1)) && grep -q 'changes to critical components' "$log" && [[ $(current) == "$previous" ]] || ((status == 100)); then
  # Nothing was changed: what is critical (switch-inhibitors, an init of another kind) differs, and only a boot gets there.
  disarm
  rm -f "$run/pending" "$run/revert"
  grep -E '^[^ ]+ : .* -> ' "$log" | sed 's/^/    /' >&2 || true
  say "cannot be switched to, only booted"
  printf 'boot\n'
  exit 0
fi
if ((status != 0)) && grep -qx 'Could not acquire lock' "$log" && [[ $(current) == "$previous" ]]; then
  # Nothing was changed, and the way back would find the same lock.
  disarm
  rm -f "$run/pending" "$run/revert"
  fail 20 "somebody switches systems here by hand (switch-to-configuration is at work). Try again when it is done"
fi
# A unit that fails is the last word on the exit code, also where something else failed before.
worse='^(warning: (user activation|the following user units failed)|Failed to run activate script)'
if ((status == 4)) && ! grep -qE "$worse" "$log"; then
  judge
  # A failure that no unit explains stays one.
  ((${#broken[@]} > 0 || ${#excused[@]} == 0)) || status=0
fi
if ((status != 0)); then
  failed_unit=${broken[0]:-}
  evidence
  why="activation failed (switch-to-configuration said $status)"
  ((${#broken[@]} == 0)) || why="activation failed: this switch broke ${broken[*]}"
  revert_now 30 "$why"
fi
if ! check_all "$run/checks.$id" || ! stay_healthy "$run/checks.$id" "$settle"; then
  evidence
  revert_now 31 "not healthy after activation: $failed"
fi
disarm
arm "$window"
say "healthy; without a confirmation it reverts in $window s"
printf 'pending\n'
