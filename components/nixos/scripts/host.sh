# shellcheck shell=bash disable=SC2154,SC2034,SC2094 # shared with the scripts that follow it; a file of checks is only read
# What the host-side scripts share. Runs on a NixOS host as root, behind health.sh, in front of activate.sh, confirm.sh, status.sh
# or rollback.sh.
# State: /run/aether (lock, pending deployment, revert script; gone after a boot, as it should) and /var/lib/aether/deployed.

set -euo pipefail
PATH=/run/current-system/sw/bin:$PATH
# The operator may be gone: what was begun is finished, or reverted, all the same.
trap '' HUP PIPE

run=/run/aether
state=/var/lib/aether
profile=/nix/var/nix/profiles/system
log=$run/activation.log
umask 022
[[ -d $run && -d $state ]] || mkdir -p "$run" "$state"
# As the kernel calls this machine: every line says it, so no process is started for it.
read -r own_name </proc/sys/kernel/hostname

say() { printf '%s: %s\n' "$own_name" "$*" >&2 2>/dev/null || true; }

fail() {
  local code=$1
  shift
  say "FAILED: $*"
  exit "$code"
}

current() { readlink -f /run/current-system; }
booted() { readlink -f /run/booted-system 2>/dev/null || true; }

# generation: number of the system profile's link, system-N-link.
generation() {
  local link
  link=$(readlink "$profile")
  link=${link##*system-}
  printf '%s\n' "${link%-link}"
}

# Kernel, initrd or kernel parameters of the booted system differ from CLOSURE's. A container has none of them.
needs_reboot() {
  local part
  [[ -e /run/booted-system/kernel && -e $1/kernel ]] || return 1
  for part in kernel initrd kernel-params kernel-modules; do
    [[ -e $1/$part ]] || continue
    # The same content in two closures needs no boot.
    [[ /run/booted-system/$part -ef $1/$part ]] || cmp -s "/run/booted-system/$part" "$1/$part" || return 0
  done
  return 1
}

# lock ID [SECONDS]: the lock is the kernel's: that of a process that died is free. Who holds it stands in a file, for the message.
lock() {
  exec 9>>"$run/lock"
  if ! flock -w "${2:-0}" 9; then
    fail 20 "another deployment is at work here: $(cat "$run/holder" 2>/dev/null || echo unknown). Try again when it is done"
  fi
  printf '%s (pid %s) since %s\n' "$1" "$$" "$(date -Is)" >"$run/holder"
}

# expect_host NAMES: the machine is called so; a host that is being renamed has two.
expect_host() {
  [[ " $1 " == *" $own_name "* ]] || fail 21 "this machine calls itself $own_name, not ${1%% *}; nothing was changed"
}

# arm SECONDS: reverts after that time, whatever happens to this script or to the connection. A timer that is armed already, or a revert
# that failed, has the name: rarely, so systemd is asked first.
arm() {
  revert_in "$1" 2>/dev/null && return
  disarm
  systemctl reset-failed aether-revert.service >/dev/null 2>&1 || true
  revert_in "$1"
}

revert_in() {
  systemd-run --quiet --on-active="$1" --unit=aether-revert --timer-property=AccuracySec=1s \
    "$(command -v bash)" "$run/revert" 9>&-
}

disarm() { systemctl stop aether-revert.timer >/dev/null 2>&1 || true; }

# reboot_soon: in a few seconds, which is when the operator has heard why.
reboot_soon() {
  systemd-run --quiet --on-active=3 --unit=aether-reboot systemctl reboot 9>&- || systemctl reboot || reboot -f
}

# commit PREVIOUS: $target becomes the system profile and the boot default, in this order and each time: a power cut between the
# two leaves a profile that the boot loader does not know of. What the entry boots is on the disk before the entry is. Where it fails,
# both are PREVIOUS's again.
commit() {
  [[ $profile -ef $target ]] || nix-env -p "$profile" --set "$target" || fail 33 "could not set the system profile"
  sync --file-system /nix/store "${profile%/*}"
  "$target/bin/switch-to-configuration" boot >>"$log" 2>&1 || {
    [[ -z $1 ]] || { nix-env -p "$profile" --set "$1" && "$1/bin/switch-to-configuration" boot >>"$log" 2>&1; } || true
    fail 33 "could not make it the boot default, see $log"
  }
}

# record DESIRED CLOSURE: what the last deployment that succeeded left the host with; drift is measured against it.
# A rollback (-) is no deployment: what was deployed stays on record, and the difference shows as drift.
record() {
  account "$([[ $1 == - ]] && echo "rolled back" || echo deployed)" "$1" "$2"
  [[ $1 != - ]] || return 0
  printf '%s %s\n' "$1" "$2" >"$state/deployed.new"
  mv "$state/deployed.new" "$state/deployed"
}

# account OUTCOME DESIRED CLOSURE: a line in the host's account of its deployments, and in its journal: when, who (as the operator's
# machine says: $id; from which address, as the SSH server says), what, of which revision of the repository ($revision), how it ended.
# A confirmation that is given again is one line.
account() {
  local by=${id:-unknown} from=${SSH_CONNECTION%% *} line
  line=$(printf '"id": "%s", "from": "%s", "outcome": "%s", "desired": "%s", "closure": "%s", "revision": "%s"' \
    "${by//[\"\\]/}" "${from:--}" "$1" "${2//[\"\\]/}" "$3" "${revision:--}")
  [[ $(tail -n 1 "$state/deployments.jsonl" 2>/dev/null) != *"$line"* ]] || return 0
  printf '{"at": %s, %s, "generation": "%s"}\n' "$(date +%s)" "$line" "$(generation)" >>"$state/deployments.jsonl" || true
  logger -t aether -- "$1: $3 by $by from ${from:--}, revision ${revision:--}" 2>/dev/null || true
}

# The last journal lines that say why a check failed.
evidence() {
  if [[ -n ${failed_unit:-} ]]; then
    journalctl --no-pager -u "$failed_unit" -n 5 2>/dev/null || true
  else
    tail -n 5 "$log" 2>/dev/null || true
  fi | sed 's/^/    /' >&2
}
