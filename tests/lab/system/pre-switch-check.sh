#!/bin/bash
# pre-switch-check SYSTEM ACTION: nixpkgs' system.preSwitchChecks (nixos/modules/system/activation/switchable-system.nix): what is
# critical differs from what runs, so that only a boot leads there.
set -euo pipefail
PATH=/usr/sbin:/usr/bin
incoming=$1 action=$2
exec >&2
case $action in
  boot | dry-activate)
    echo "Not checking switch inhibitors (action = $action)"
    exit
    ;;
esac
printf 'Checking switch inhibitors...'
old=/run/current-system/switch-inhibitors new=$incoming/switch-inhibitors
[[ -f $old && -f $new ]] || {
  echo " done"
  exit
}
changed=$(jq -nr --slurpfile old "$old" --slurpfile new "$new" \
  '$old[0] | to_entries[] | select($new[0][.key] != null and $new[0][.key] != .value) | "\(.key) : \(.value) -> \($new[0][.key])"')
[[ -n $changed ]] || {
  echo " done"
  exit
}
printf '\nThere are changes to critical components of the system:\n\n%s\n\n' "$changed"
printf 'Switching into this system is not recommended.\n'
printf "You probably want to run 'nixos-rebuild boot' and reboot your system instead.\n\n"
echo "Pre-switch check 'switchInhibitors' failed"
exit 1
