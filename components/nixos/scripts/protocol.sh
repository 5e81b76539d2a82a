# shellcheck shell=bash
# Activation and confirmation as deployments and rollbacks have them in common. Sourced, behind operator.sh.
# Wants AETHER_HOST, AETHER_HOSTNAME, AETHER_CHECKS, AETHER_SETTLE, AETHER_CONFIRM_TIMEOUT.
scripts=components/nixos/scripts

# on_host STEP ARG…: a step of the host's side, with standard input: as root by the scripts of this checkout, as `deploy` by the host's own.
on_host() {
  local step=$1
  shift
  if [[ $(login_name) == deploy ]]; then
    remote "$AETHER_HOST" "$(entry "$step" "$@")"
  else
    run_on "$AETHER_HOST" "components/health/scripts/health.sh $scripts/host.sh $scripts/$step.sh" "$@"
  fi
}

# other_login: of the two accounts that a host can be deployed by, the one that is not taken.
other_login() { if [[ $(login_name) == root ]]; then printf deploy; else printf root; fi; }

# meet SECONDS: as open_connection. What runs on a host may know the other account alone: it was born with root's, or the inventory named
# another one. That is then taken, and exported, until the new system is there.
meet() {
  local turns=0
  open_connection "$AETHER_HOST" "$1" greet
}

# greet HOST: connects by the inventory's account, and where the host does not let that in, by the other one. Not for ever: whoever
# knocks with wrong names too often is shut out.
greet() {
  local status=0
  connect "$1" || status=$?
  if ((status == 12 && turns < 3)) && [[ ${ssh_error:-} == *'Permission denied'* ]]; then
    turns=$((turns + 1))
    export AETHER_LOGIN
    AETHER_LOGIN=$(other_login)
    if connect "$1"; then
      say "does not know the account of the inventory yet: as $AETHER_LOGIN until its new system is there"
      return 0
    fi
    unset AETHER_LOGIN
  fi
  return "$status"
}

# activate_for_trial CLOSURE ID: activates CLOSURE for a trial, armed to revert, its health proved. Ends the script where it fails. What the
# host said is in $tried: unchanged, pending, or boot.
activate_for_trial() {
  local status=0 outcome
  outcome=$(printf '%s' "$AETHER_CHECKS" | on_host activate \
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
    confirm "$1" "$2" "$3" "${AETHER_REBOOT:-ask}" "$(revision)" </dev/null
}

# insist SECONDS OTHERWISE STEP ARG…: runs a STEP of the host's side over a connection of its own, by the inventory's account, or by the
# other one where a rollback led back to a system that knows that alone. A confirmation whose connection was
# lost is given again, for SECONDS: the second finds what the first one did, or does it. Ends with 32 and OTHERWISE where none stands.
insist() {
  local seconds=$1 otherwise=$2 step=$3 deadline=$((SECONDS + $1)) status text errors AETHER_LOGIN='' turned=false
  shift 3
  IFS= read -r -d '' text || true
  while :; do
    status=0
    { errors=$(printf '%s' "$text" | control=none on_host "$step" "$AETHER_HOSTNAME" "$@" 2>&1 >&3) || status=$?; } 3>&1
    if ((status != 255 || SECONDS >= deadline)); then break; fi
    if ! $turned && [[ $errors == *'Permission denied'* ]]; then
      AETHER_LOGIN=$(other_login) turned=true
    elif $turned; then
      AETHER_LOGIN=''
    fi
    sleep 0.3
  done
  # ssh's own words are for the log of a debugger; the host's are for everybody.
  if ((status != 255)); then printf '%s' "${errors:+$errors$'\n'}" >&2; fi
  ((status != 255)) || fail 32 "no new connection within $seconds s $otherwise"
  return "$status"
}
