#!/usr/bin/env bash
# Deploys one NixOS host: build, copy, activate for a trial, confirm over a new connection, reboot where the policy says so.
# Environment: AETHER_HOST, AETHER_HOSTNAME, AETHER_FLAKE (attribute), AETHER_DESIRED (drvPath or source:HASH), AETHER_CHECKS,
#   AETHER_SETTLE, AETHER_CONFIRM_TIMEOUT, AETHER_REBOOT (never, ask, auto), AETHER_BUILD_ON (operator, target or a host),
#   AETHER_SSH_CONFIG, AETHER_NIX, AETHER_SECRETS.
# Standard input: what is in the system, for those who review the change; not read.
# Standard output: JSON with closure, generation, reboot.
# Exit codes: 10 build, 11 copy, 12 unreachable, 20 busy, 21 wrong host, 22 wrong host key, 30 activation, 31 health,
#   32 unconfirmed, 33 commit, 34 did not come back from a reboot, 35 came back on another system, 37 the way back failed too, 38 needs
#   a reboot that is not allowed or possible.
# shellcheck source=components/scripts/operator.sh
source components/scripts/operator.sh
# shellcheck source=components/nixos/scripts/protocol.sh
source components/nixos/scripts/protocol.sh
# shellcheck source=components/nixos/scripts/building.sh
source components/nixos/scripts/building.sh
exec </dev/null
id="$(id -un)@$HOSTNAME:$$"

# from_cache CLOSURE: the host takes it from there.
from_cache() {
  local status=0
  say "takes it from the cache at $pull"
  run_on "$AETHER_HOST" "$scripts/pull.sh" "$1" "$pull" </dev/null || status=$?
  case $status in
    0) ;;
    255) fail 12 "the connection was lost while it took $1 from the cache" ;;
    *) fail 11 "could not take $1 from the cache at $pull (above). Does it answer there? Without it: pulls = false in the inventory" ;;
  esac
}

# taken: the system, where the host runs it and was left with what is desired: it took that by an order.
taken() {
  local said form='"current": "([^"]*)",.*"generation": "[^"]*", "desired": "([^"]*)", "deployed": "([^"]*)"'
  said=$(on_host status </dev/null 2>/dev/null) || return 0
  [[ $said =~ $form && ${BASH_REMATCH[1]} == "${BASH_REMATCH[3]}" && ${BASH_REMATCH[2]} == "$AETHER_DESIRED" ]] || return 0
  printf '%s' "${BASH_REMATCH[1]}"
}

cache_of

# One connection for everything until the confirmation, which has to come over another one.
status=0
meet "${AETHER_WAIT:-20}" || status=$?
if ((status == 12)) && give_address; then
  status=0
  meet "${AETHER_WAIT:-20}" || status=$?
fi
((status == 0)) || fail "$status" "$(explain "$status" "$AETHER_HOST")"
# Its daemon takes from caches that root names alone.
[[ $(login_name) != deploy ]] || push=''

closure=''
[[ $orders != orders ]] || closure=$(taken)
case ${closure:+taken}:$AETHER_BUILD_ON in
  taken:*) say "has taken $closure by an order already" ;;
  :operator)
    say "builds"
    closure=$(build_here "$(installable)")
    sign "$closure"
    if [[ -n $push ]]; then
      to_cache "$closure"
      from_cache "$closure"
    else
      say "copies $closure"
      NIX_SSHOPTS=$(connection_options) try 11 "could not copy $closure" \
        nix copy --substitute-on-destination --to "ssh-ng://$AETHER_HOST" "$closure"
    fi
    ;;
  *)
    # Another machine's connection cannot be shared, and Nix has one set of options for both.
    export NIX_SSHOPTS="-F $connection/config"
    # The builder is deployed as root (the inventory's rule), and so is a target that builds.
    builder=$AETHER_BUILD_ON
    [[ $builder == target ]] && builder=$AETHER_HOST
    say "builds on $builder"
    closure=$(build_at "$builder" "$(installable)")
    if [[ $builder != "$AETHER_HOST" ]]; then
      sign --store "ssh-ng://$builder" "$closure"
    fi
    if [[ $builder != "$AETHER_HOST" && -n $push ]]; then
      to_cache --from "ssh-ng://$builder" "$closure"
      from_cache "$closure"
    elif [[ $builder != "$AETHER_HOST" ]]; then
      try 11 "could not copy $closure from $builder" nix copy --from "ssh-ng://$builder" --to "ssh-ng://$AETHER_HOST" "$closure"
    fi
    ;;
esac

snapshot take
activate_for_trial "$closure" "$id"
close_connection
if [[ $tried == boot ]]; then
  "$scripts/boot-trial.sh" "$closure" "$id" || exit $?
  snapshot drop
  exit
fi
unset AETHER_LOGIN
result=$(confirm "$closure" "$id" "$AETHER_DESIRED") || exit $?

if [[ $result == *'"reboot": true'* ]]; then
  case $AETHER_REBOOT in
    auto) result=$("$scripts/reboot.sh" "$closure" <<<"$result") || exit $? ;;
    ask) say "NEEDS A REBOOT to run its new kernel: make reboot HOST=$AETHER_HOST" ;;
    never) say "runs its new kernel after the next boot" ;;
  esac
fi
snapshot drop
printf '%s\n' "$result"
