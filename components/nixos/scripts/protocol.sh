# shellcheck shell=bash
# Activation and confirmation as deployments and rollbacks have them in common. Sourced, behind operator.sh.
# Wants AETHER_HOST, AETHER_HOSTNAME, AETHER_CHECKS, AETHER_SETTLE, AETHER_CONFIRM_TIMEOUT.
scripts=components/nixos/scripts

# activate_for_trial CLOSURE ID: activates CLOSURE for a trial, armed to revert, its health proved. Ends the script where it fails. What the
# host said is in $tried: unchanged, pending, or boot.
activate_for_trial() {
  local status=0 outcome
  outcome=$(printf '%s' "$AETHER_CHECKS" | run_on "$AETHER_HOST" "$scripts/host.sh $scripts/activate.sh" \
    "$AETHER_HOSTNAME" "$1" "$AETHER_CONFIRM_TIMEOUT" "$2" "$(own_address "$AETHER_HOST")" "$AETHER_SETTLE" "${AETHER_MAY_FAIL:-}") || status=$?
  # 255 is ssh's own: the connection went away under the activation. The new connection finds out what became of it.
  if ((status != 0 && status != 255)); then exit "$status"; fi
  if ((status != 0)); then say "the connection was lost during the activation ($outcome)"; fi
  # shellcheck disable=SC2034 # read by the scripts that source this one
  tried=$outcome
}

# confirm CLOSURE ID DESIRED: makes the trial permanent, over a connection of its own. Prints what confirm.sh prints.
confirm() {
  insist "$AETHER_CONFIRM_TIMEOUT" "after the activation; the host goes back to its previous system on its own" \
    confirm.sh "$1" "$2" "$3" "${AETHER_REBOOT:-ask}" "$(revision)" </dev/null
}

# insist SECONDS OTHERWISE SCRIPT ARG…: runs SCRIPT of the host's side over a connection of its own. A confirmation whose connection was
# lost is given again, for SECONDS: the second finds what the first one did, or does it. Ends with 32 and OTHERWISE where none stands.
insist() {
  local seconds=$1 otherwise=$2 script=$3 deadline=$((SECONDS + $1)) status text errors
  shift 3
  text=$(cat)
  errors=$(mktemp)
  while :; do
    status=0
    printf '%s' "$text" | control=none run_on "$AETHER_HOST" "$scripts/host.sh $scripts/$script" "$AETHER_HOSTNAME" "$@" \
      2>"$errors" || status=$?
    if ((status != 255 || SECONDS >= deadline)); then break; fi
    sleep 0.3
  done
  # ssh's own words are for the log of a debugger; the host's are for everybody.
  if ((status != 255)); then cat "$errors" >&2; fi
  rm -f "$errors"
  ((status != 255)) || fail 32 "no new connection within $seconds s $otherwise"
  return "$status"
}
