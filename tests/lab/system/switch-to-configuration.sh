#!/bin/bash
# switch-to-configuration of a lab system. Behaves as nixpkgs' switch-to-configuration-ng (26.11) where scripts can tell: actions,
# lock, pre-switch check, init of another kind, order (stop, activate, reload, restart, start), the directives of a unit that it heeds,
# words on units, exit codes 1, 2, 4, 11, 100. It is held to that by tests/contract, which asks nixpkgs' own program the same.
set -uo pipefail
PATH=/usr/sbin:/usr/bin
system=@system@
units=etc/systemd/system
action=${1:-}
case $action in
  check | switch | boot | test | dry-activate) ;;
  *)
    echo "Usage: ${0##*/} [check|switch|boot|test|dry-activate]" >&2
    exit 1
    ;;
esac
[[ $EUID == 0 ]] || { echo "Error: switch-to-configuration must be run as the root user" >&2; exit 1; }
# As Perl's die did, the program ends with the error's number where one is at hand: no such file, and try again.
[[ -e /etc/NIXOS ]] || { echo "This is not a NixOS installation!" >&2; exit 2; }
mkdir -p /run/nixos
exec 8>>/run/nixos/switch-to-configuration.lock
flock -n 8 || { echo "Could not acquire lock" >&2; exit 11; }

if [[ ${NIXOS_NO_CHECK:-} != 1 ]]; then
  "$system/bin/pre-switch-check" "$system" "$action" || { echo "Pre-switch checks failed" >&2; exit 1; }
fi
[[ $action != check ]] || exit 0

if [[ $action == switch || $action == boot ]]; then
  "$system/bin/install-boot-loader" "$system" || { echo "Failed to install bootloader" >&2; exit 1; }
  [[ $action != boot ]] || exit 0
fi
if ! cmp -s /run/current-system/init-interface-version "$system/init-interface-version"; then
  # shellcheck disable=SC1112 # its own quotes
  printf 'Warning: the new NixOS configuration has an ‘init’ that is\nincompatible with the current configuration.  %s\n%s\n' \
    "The new configuration" "won't take effect until you reboot the system." >&2
  exit 100
fi

old=$(readlink -f /run/current-system)
running() { systemctl list-units --all --plain --no-legend --state=active,activating | cut -d' ' -f1; }
before=$(running)
runs() { grep -qxF -- "$1" <<<"$before"; }
# has FILE KEY DEFAULT: the last word on a boolean directive of a unit.
has() {
  local value
  value=$(sed -nE "s/^$2=//p" "$1" | tail -n 1)
  [[ ${value:-$3} =~ ^(1|yes|true|on)$ ]]
}
stop=() skip=() reload=() restart=() start=()
for file in "$old/$units"/*.*; do
  unit=${file##*/}
  if [[ ! -f $file ]] || ! runs "$unit"; then continue; fi
  new=$system/$units/$unit
  if [[ ! -e $new ]]; then
    has "$file" X-StopOnRemoval true && stop+=("$unit")
  elif ! cmp -s "$file" "$new"; then
    if has "$new" X-ReloadIfChanged false; then
      reload+=("$unit")
    elif ! has "$new" X-RestartIfChanged true || has "$new" RefuseManualStop false || has "$new" X-OnlyManualStart false; then
      skip+=("$unit")
    elif ! has "$new" X-StopIfChanged true || [[ $unit != *.service ]]; then
      restart+=("$unit")
    else
      stop+=("$unit")
      start+=("$unit")
    fi
  fi
done
say() { local words=$1; shift; (($# == 0)) || echo "$words $(printf '%s\n' "$@" | sort -f | paste -sd, | sed 's/,/, /g')" >&2; }
if [[ $action == dry-activate ]]; then
  say "would stop the following units:" "${stop[@]}"
  say "would NOT stop the following changed units:" "${skip[@]}"
  echo "would activate the configuration..." >&2
  say "would reload the following units:" "${reload[@]}"
  say "would restart the following units:" "${restart[@]}"
  say "would start the following units:" "${start[@]}"
  exit 0
fi
code=0
say "stopping the following units:" "${stop[@]}"
((${#stop[@]} == 0)) || systemctl stop "${stop[@]}"
say "NOT restarting the following changed units:" "${skip[@]}"
echo "activating the configuration..." >&2
"$system/activate" "$system" || { echo "Failed to run activate script" >&2; code=2; }
systemctl reset-failed
systemctl daemon-reload
each() { # each JOB UNIT…
  local job=$1 unit
  shift
  for unit; do systemctl "$job" "$unit" 2>/dev/null || { echo "Failed to $job $unit" >&2; code=4; }; done
}
say "reloading the following units:" "${reload[@]}"
each reload "${reload[@]}"
say "restarting the following units:" "${restart[@]}"
each restart "${restart[@]}"
say "starting the following units:" "${start[@]}"
each start multi-user.target "${start[@]}"
# New units are what the targets want: their jobs are the targets', whose own job succeeds before they are through.
wanted=("$system/$units/multi-user.target.wants"/*.*)
[[ ! -e ${wanted[0]} ]] || systemctl start "${wanted[@]##*/}" 2>/dev/null || true
mapfile -t failed < <(systemctl list-units --all --plain --no-legend --state=failed,auto-restart | cut -d' ' -f1)
mapfile -t fresh < <(running | grep -vxF -e "$before" | grep -v '\.scope$')
say "the following new units were started:" "${fresh[@]}"
if ((${#failed[@]} > 0)); then
  say "warning: the following units failed:" "${failed[@]}"
  systemctl status --no-pager --full "${failed[@]}" >&2
  code=4
fi
exit "$code"
