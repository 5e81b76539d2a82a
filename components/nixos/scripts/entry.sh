#!/usr/bin/env bash
# What the account `deploy` may have done as root on a NixOS host: the steps of the protocol, by the scripts beside this one, and nothing
# else. It is part of the host's system (nix/modules/deploy-user.nix), and sudo starts it. No text of the caller's is run: systems have to
# be signed by the fleet, or be generations of this host; health checks are the system's own; every other argument is looked at first.
# Arguments: version of the protocol, step, then the step's (its script says which). Exit codes: the step's; 2: refused.
set -euo pipefail
scripts=@scripts@/nixos/scripts
health=@scripts@/health/scripts/health.sh
key='@key@'
version=1
export PATH=/run/current-system/sw/bin LC_ALL=C
unset AETHER_ACTIVATION_LIMIT NIXOS_NO_CHECK
[[ ${SSH_CONNECTION:-} =~ ^[0-9a-fA-F.:]+(\ [0-9a-fA-F.:]+){3}$ ]] || unset SSH_CONNECTION

refuse() {
  printf '%s: REFUSED: %s\n' "$(hostname)" "$*" >&2
  exit 2
}

declare -A like=(
  [hosts]='[a-zA-Z0-9-]+( [a-zA-Z0-9-]+)?'
  [system]='/nix/store/[0-9a-z]{32}-[a-zA-Z0-9+._?=-]+'
  [seconds]='[0-9]{1,5}'
  [deployment]='[a-zA-Z0-9@._:+-]{1,200}'
  [address]='|[0-9a-zA-Z][0-9a-zA-Z.:-]*'
  [desired]='-|/nix/store/[0-9a-z]{32}-[a-zA-Z0-9+._?=-]+|source:[0-9a-f]{1,64}'
  [revision]='|-|[0-9a-f]{4,64}[+]?'
  [policy]='never|ask|auto'
  [units]='[^[:cntrl:]]*'
  [health]='|yes|no'
  [stack]='[a-zA-Z0-9-]+'
)

# take KIND…: the step has an argument of each of these kinds; a missing one is empty, and the whole of each is looked at.
take() {
  local kind at=0
  ((${#given[@]} <= $#)) || refuse "$step takes $# arguments. Fix: a checkout of the age of what runs here"
  for kind in "$@"; do
    given[at]=${given[at]:-}
    [[ ${given[at]} =~ ^(${like[$kind]})$ ]] || refuse "the protocol sends no ${given[at]@Q} as $kind of $step"
    [[ $kind != system ]] || vouched "${given[at]}"
    at=$((at + 1))
  done
}

# vouched SYSTEM: the fleet's key signed it, or this host's profile has, or had, it: whoever may use the store can put into it what he likes.
vouched() {
  local link info
  for link in /nix/var/nix/profiles/system-*-link; do
    [[ $(readlink -f "$link") != "$1" ]] || return 0
  done
  # A path that is called by its content needs no signature, and anybody can add one.
  if info=$(nix --extra-experimental-features nix-command path-info --json "$1" 2>/dev/null) &&
    ! grep -qE '"ca": *["{]' <<<"$info" &&
    nix --extra-experimental-features nix-command --option trusted-public-keys "$key" store verify --no-contents --sigs-needed 1 "$1" \
      >/dev/null 2>&1; then
    return 0
  fi
  refuse "$1 is neither signed by the fleet's key nor a generation of this host. Fix: deploy it from a checkout that has the fleet's key"
}

# own_checks SYSTEM: the health checks that it has of itself; of one that is older than the account, those of what runs.
own_checks() { cat "$1/etc/aether/checks" 2>/dev/null || cat /run/current-system/etc/aether/checks 2>/dev/null || true; }

run_step() {
  # shellcheck disable=SC1090 # in the host's system
  source "$health"
  # shellcheck disable=SC1090,SC1091
  source "$scripts/host.sh"
  # shellcheck disable=SC1090
  source "$scripts/$step.sh" "${given[@]}"
}

[[ ${1:-} == "$version" ]] ||
  refuse "its part of the protocol is version $version, not ${1:-none}. Fix: a checkout of its age, or log in as root over its node and deploy from there"
[[ -n ${2:-} ]] || refuse "no step"
step=$2
given=("${@:3}")
case $step in
  activate)
    take hosts system seconds deployment address seconds units
    run_step < <(own_checks "${given[1]}")
    ;;
  confirm)
    take hosts system deployment desired policy revision
    run_step </dev/null
    ;;
  arm-boot)
    take hosts system deployment seconds seconds
    run_step </dev/null
    ;;
  confirm-boot)
    take hosts system address desired seconds revision
    run_step < <(own_checks "${given[1]}")
    ;;
  after-boot)
    take hosts system address desired revision deployment
    run_step < <(own_checks "${given[1]}")
    ;;
  previous)
    take hosts
    run_step </dev/null
    ;;
  status)
    take address health
    given[1]=$([[ ${given[1]} != yes ]] || own_checks /run/current-system)
    run_step </dev/null
    ;;
  reboot)
    take
    systemctl reboot
    ;;
  metrics)
    # For this host's node exporter, from standard input: 4 MiB at most.
    take stack
    target=/var/lib/node-exporter-text/aether-${given[0]}.prom
    umask 022
    head -c 4194304 >"$target.new"
    mv "$target.new" "$target"
    ;;
  *) refuse "there is no step ${step@Q}" ;;
esac
