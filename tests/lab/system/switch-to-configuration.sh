#!/bin/bash
# switch-to-configuration of a lab system. Behaves as nixpkgs' switch-to-configuration-ng (26.11) where scripts can tell: actions,
# lock, pre-switch check of the inhibitors, order (stop, activate, reload, restart, start), words on failed units, exit codes 1, 2, 4.
set -uo pipefail
PATH=/usr/sbin:/usr/bin
system=@system@
units=etc/systemd/system
action=${1:-}
case $action in
  check | switch | boot | test | dry-activate) ;;
  *)
    echo "Usage: $0 [check|switch|boot|test|dry-activate]" >&2
    exit 1
    ;;
esac
[[ $EUID == 0 ]] || { echo "switch-to-configuration must be run as root" >&2; exit 1; }
[[ -e /etc/NIXOS ]] || { echo "This is not a NixOS installation!" >&2; exit 1; }
mkdir -p /run/nixos
exec 8>>/run/nixos/switch-to-configuration.lock
flock -n 8 || { echo "Could not acquire lock" >&2; exit 1; }

inhibitors() {
  local changed
  changed=$(jq -nr --slurpfile old "$1" --slurpfile new "$2" \
    '$old[0] | to_entries[] | select($new[0][.key] != null and $new[0][.key] != .value) | "\(.key) : \(.value) -> \($new[0][.key])"')
  [[ -z $changed ]] && return
  printf 'There are changes to critical components of the system:\n\n%s\n\nSwitching into this system is not recommended.\n' "$changed" >&2
  echo "Pre-switch check 'switchInhibitors' failed" >&2
  echo "Pre-switch checks failed" >&2
  exit 1
}
if [[ ${NIXOS_NO_CHECK:-} != 1 && $action != boot && $action != dry-activate && -e /run/current-system/switch-inhibitors ]]; then
  inhibitors /run/current-system/switch-inhibitors "$system/switch-inhibitors"
fi
[[ $action != check ]] || exit 0

if [[ $action == switch || $action == boot ]]; then
  "$system/bin/install-boot-loader" "$system" || { echo "Failed to install bootloader" >&2; exit 1; }
  [[ $action != boot ]] || exit 0
fi

old=$(readlink -f /run/current-system)
stop=() restart=() start=()
for file in "$old/$units"/*.*; do
  unit=${file##*/}
  [[ -f $file && ! -e $system/$units/$unit ]] && systemctl is-active --quiet "$unit" && stop+=("$unit")
done
for file in "$system/$units"/*.*; do
  unit=${file##*/}
  [[ -f $file && -e $old/$units/$unit ]] && ! cmp -s "$file" "$old/$units/$unit" &&
    systemctl is-active --quiet "$unit" && ! grep -q '^X-RestartIfChanged=false' "$file" && restart+=("$unit")
done
for file in "$system/$units/multi-user.target.wants"/*.*; do
  unit=${file##*/}
  [[ -e $file ]] && ! systemctl is-active --quiet "$unit" && start+=("$unit")
done
say() { local words=$1; shift; (($# == 0)) || echo "$words $(printf '%s\n' "$@" | sort | paste -sd, | sed 's/,/, /g')" >&2; }
if [[ $action == dry-activate ]]; then
  say "would stop the following units:" "${stop[@]}"
  say "would restart the following units:" "${restart[@]}"
  say "would start the following units:" "${start[@]}"
  exit 0
fi
code=0
say "stopping the following units:" "${stop[@]}"
((${#stop[@]} == 0)) || systemctl stop "${stop[@]}"
echo "activating the configuration..." >&2
"$system/activate" || { echo "Failed to run activate script" >&2; code=2; }
systemctl reset-failed
systemctl daemon-reload
say "restarting the following units:" "${restart[@]}"
for unit in "${restart[@]}"; do
  systemctl restart "$unit" || { echo "Failed to restart $unit" >&2; code=4; }
done
# New units are what the targets want: their jobs are the targets', whose own job succeeds.
say "starting the following units:" "${start[@]}"
systemctl start multi-user.target
((${#start[@]} == 0)) || systemctl start "${start[@]}" || true
mapfile -t failed < <(systemctl list-units --all --plain --no-legend --state=failed,auto-restart | cut -d' ' -f1)
if ((${#failed[@]} > 0)); then
  say "warning: the following units failed:" "${failed[@]}"
  systemctl status --no-pager --full "${failed[@]}" >&2
  code=4
fi
exit "$code"
