# shellcheck shell=bash
# What the operator-side scripts share: messages, SSH over pinned keys, running a script on a host.
# Sourced. Wants AETHER_HOST and AETHER_SSH_CONFIG.

set -euo pipefail

say() { printf '%s: %s\n' "$AETHER_HOST" "$*" >&2; }

# fail CODE MESSAGE…: says why and ends the script. Exit codes are listed in docs/runbook.md.
fail() {
  local code=$1
  shift
  say "FAILED: $*"
  exit "$code"
}

# revision: commit of the repository that is deployed from, with a + where files differ from it; - outside of git.
revision() {
  local commit
  commit=$(git rev-parse --short=12 HEAD 2>/dev/null) || { printf -- '-'; return; }
  printf '%s%s' "$commit" "$([[ -z $(git status --porcelain --untracked-files=no 2>/dev/null) ]] || echo +)"
}

# account OUTCOME WHAT: a line in AETHER_HOST's own account of its deployments and in its log, where it is no NixOS host (those write
# theirs: host.sh). What a host cannot keep, a router's shell say, fails nothing.
account() {
  local line who commit
  who=$(id -un)@$HOSTNAME commit=$(revision)
  line=$(printf '{"at": %s, "id": "%s", "outcome": "%s", "closure": "%s", "revision": "%s"}' \
    "$(date +%s)" "$who:$$" "$1" "${2//[\"\\]/}" "$commit")
  remote "$AETHER_HOST" "logger -t aether -- $(printf '%q' "$1: $2 by $who, revision $commit");
    if [ \"\$(id -u)\" = 0 ]; then mkdir -p /var/lib/aether; printf '%s\\n' $(printf '%q' "$line") >>/var/lib/aether/deployments.jsonl; fi" \
    </dev/null >/dev/null 2>&1 || true
}

# The socket of the connection that `open_connection` keeps; none: every command makes one of its own.
control=none

# remote HOST COMMAND…: over the connection that is held, or a new one each time; the key must be the inventory's. The account is the
# inventory's, too, or AETHER_LOGIN where AETHER_HOST does not know that one (components/nixos/scripts/protocol.sh).
remote() {
  local host=$1 as=()
  shift
  [[ $host != "$AETHER_HOST" || -z ${AETHER_LOGIN:-} ]] || as=(-l "$AETHER_LOGIN")
  ssh -F "$AETHER_SSH_CONFIG" -o ControlPath="$control" -o ControlMaster=no "${as[@]}" "$host" "$@"
}

# ssh_settings HOST: what ssh makes of the configuration for it, a setting a line. AETHER_HOST's are asked for once.
ssh_settings() {
  if [[ $1 == "$AETHER_HOST" && -n ${own_settings:-} ]]; then
    printf '%s\n' "$own_settings"
  else
    ssh -F "$AETHER_SSH_CONFIG" -T -G "$1"
  fi
}

# ssh_setting NAME HOST: the first one of that name.
ssh_setting() {
  local name value found=''
  while read -r name value; do
    if [[ $name == "$1" ]]; then found=${found:-$value}; fi
  done < <(ssh_settings "$2")
  printf '%s' "$found"
}

# login_name: the account of AETHER_HOST that `remote` takes.
login_name() { printf '%s' "${AETHER_LOGIN:-$(ssh_setting user "$AETHER_HOST")}"; }

# entry STEP ARG…: command by which the account `deploy` has a step of the protocol run as root (components/nixos/scripts/entry.sh).
entry() { printf 'sudo -n /run/current-system/etc/aether/host 1'; printf ' %q' "$@"; }

# run_on HOST "FILE…" ARG…: runs the concatenated script files on HOST by bash with the arguments; standard input is passed on.
run_on() {
  local host=$1 files=$2 text='' file quoted=()
  shift 2
  for file in $files; do text+=$(<"$file")$'\n'; done
  local argument
  for argument in "$@"; do quoted+=("$(printf '%q' "$argument")"); done
  remote "$host" "bash -c $(printf '%q' "$text") aether ${quoted[*]}"
}

# prove_health HOST [SECONDS [ADDRESS]]: the health checks of standard input hold there, and go on holding (health/scripts/prove.sh).
prove_health() {
  local host=$1
  shift
  run_on "$host" "components/health/scripts/health.sh components/health/scripts/prove.sh" "$@"
}

# own_address HOST: the address that HOST is reached at.
own_address() { ssh_setting hostname "$1"; }

# refused TEXT: what ssh's words mean: 22 (another key) or 12 (does not answer).
refused() {
  case $1 in
    *'HOST IDENTIFICATION HAS CHANGED'* | *'Host key verification failed'*) return 22 ;;
  esac
  return 12
}

# reachable HOST: 0, or 12 (does not answer) or 22 (another key), with the reason in $ssh_error.
reachable() {
  local status=0
  ssh_error=$(remote "$1" true 2>&1 >/dev/null </dev/null) || status=$?
  # A host that is deployed without being root is born with root's account.
  if ((status != 0)) && [[ $ssh_error == *'Permission denied'* && $1 == "$AETHER_HOST" && $(login_name) == deploy ]]; then
    status=0
    ssh_error=$(AETHER_LOGIN=root remote "$1" true 2>&1 >/dev/null </dev/null) || status=$?
  fi
  ((status == 0)) || refused "$ssh_error"
}

# within SECONDS COMMAND…: until COMMAND succeeds; the result is its last one.
within() {
  local deadline=$((SECONDS + $1)) status
  shift
  while :; do
    status=0
    "$@" || status=$?
    if ((status == 0 || SECONDS >= deadline)); then return "$status"; fi
    sleep 0.3
  done
}

# wait_for HOST SECONDS: until HOST answers with its own key; the result is the last one of reachable.
wait_for() { within "$2" reachable "$1"; }

# open_connection HOST SECONDS [HOW]: as wait_for, and keeps the connection: `remote` and programs that are given connection_options share
# it, until `close_connection` or the script's end. HOW is the function that makes it: connect, or one that calls that.
open_connection() {
  link_config
  own_settings=$(ssh_settings "$AETHER_HOST")
  within "$2" "${3:-connect}" "$1"
}

# link_config: a link to the SSH configuration, $connection/config, whose path has no space; gone with `close_connection` or the script's
# end.
link_config() {
  connection=$(mktemp -d /tmp/aether.XXXXXX)
  ln -s "$(realpath "$AETHER_SSH_CONFIG")" "$connection/config"
  trap close_connection EXIT
}

connect() {
  local status=0
  # In the background it keeps nothing of this script's open; it goes by itself when nobody used it for ten minutes.
  ssh -F "$AETHER_SSH_CONFIG" -o ControlMaster=yes -o ControlPath="$connection/socket" -o ControlPersist=600 -l "$(login_name)" -fN "$1" \
    </dev/null >/dev/null 2>"$connection/error" || status=$?
  if ((status == 0)); then
    control=$connection/socket
    return 0
  fi
  ssh_error=$(<"$connection/error")
  refused "$ssh_error"
}

# Options for programs that take them in one text and split it at spaces: none of these paths has one.
connection_options() { printf -- '-F %s -o ControlPath=%s -o ControlMaster=no -o User=%s' "$connection/config" "$control" "$(login_name)"; }

close_connection() {
  if [[ $control != none ]]; then ssh -F "$AETHER_SSH_CONFIG" -o ControlPath="$control" -O exit "$AETHER_HOST" >/dev/null 2>&1 || true; fi
  control=none
  rm -rf "${connection:-}"
}

# explain STATUS HOST: the sentence for a result of reachable.
explain() {
  case $1 in
    22) printf '%s answers with another SSH host key than the inventory has; nothing was sent to it. Is the right machine at %s? If its key was replaced on purpose, update host_key in the inventory' "$2" "$(own_address "$2")" ;;
    *)
      case ${ssh_error:-} in
        *'Permission denied'* | *'Too many authentication failures'*)
          printf '%s at %s lets none of these keys in: %s. Fix: the setting aether:operatorKeyFile, or a key of the site'"'"'s authorized_keys in your SSH agent' \
            "$2" "$(own_address "$2")" "$(ssh_settings "$2" | sed -n 's/^identityfile //p' | paste -sd' ')"
          return
          ;;
      esac
      printf '%s does not answer on SSH at %s (%s)' "$2" "$(own_address "$2")" "$(tail -n 1 <<<"${ssh_error:-no answer}" | tr -d '\r')" ;;
  esac
}

# An id that is another one after each boot; nothing while the host is away. After a boot it may be the inventory's account that is known.
boot_id() {
  remote "$AETHER_HOST" cat /proc/sys/kernel/random/boot_id </dev/null 2>/dev/null ||
    { [[ -n ${AETHER_LOGIN:-} ]] && AETHER_LOGIN='' remote "$AETHER_HOST" cat /proc/sys/kernel/random/boot_id </dev/null 2>/dev/null; } || true
}

# change_guest SCRIPT FAILURE: SCRIPT of components/proxmox/scripts on AETHER_NODE, for guest AETHER_VMID and with standard input. Ends
# with 12 or 22 where the node does not answer, and with 43 and FAILURE where it cannot be done.
change_guest() {
  local status=0
  run_on "$AETHER_NODE" "components/proxmox/scripts/$1" "$AETHER_VMID" >&2 || status=$?
  if ((status == 255)); then
    reachable "$AETHER_NODE" || fail $? "$(explain $? "$AETHER_NODE")"
  fi
  ((status == 0)) || fail 43 "$AETHER_NODE could not $2; what it has is kept"
}

# by_node SCRIPT ARG…: runs SCRIPT of components/proxmox/scripts for the guest that AETHER_HOST is, on the node that has it. The file
# `guests` beside the SSH configuration says which hosts are guests: HOST, qm or pct, VMID, snapshots (yes or no), address with prefix
# length, gateway, then the nodes, its own first. 1: it is none, or no node has it; the script's own failure is 2.
by_node() {
  local tool vmid nodes node status script=components/proxmox/scripts/$1 control=none
  shift
  read -r tool vmid _ _ _ nodes < <(guest_line) || return 1
  for node in $nodes; do
    status=0
    run_on "$node" "$script" "$tool" "$vmid" "$@" </dev/null >&2 || status=$?
    case $status in
      0) return 0 ;;
      # Not on this node, or the node does not answer.
      3 | 255) ;;
      *) return 2 ;;
    esac
  done
  return 1
}

guest_line() { own_line guests; }

# beside NAME: path of a file that lies beside the SSH configuration.
beside() { printf '%s%s' "${AETHER_SSH_CONFIG%"${AETHER_SSH_CONFIG##*/}"}" "$1"; }

# own_line NAME: what the file NAME beside the SSH configuration says of AETHER_HOST, behind its name; 1 where it says nothing.
own_line() {
  local file host said
  file=$(beside "$1")
  [[ -e $file ]] || return 1
  while read -r host said; do
    if [[ $host == "$AETHER_HOST" ]]; then
      printf '%s\n' "$said"
      return
    fi
  done <"$file"
  return 1
}

# give_address: has the node of a guest that does not answer at its address give it that, beside the one that its system has.
give_address() {
  local address gateway
  read -r _ _ _ address gateway _ < <(guest_line) || return 1
  # What the router gives is the router's.
  [[ $address != - ]] || return 1
  by_node give-address.sh "$address" "$gateway"
}

# snapshot WHAT: takes or drops the guest's snapshot of before the deployment, where the stack wants one.
snapshot() {
  local status=0
  [[ $(guest_line) == *' yes '* ]] || return 0
  by_node snapshot-guest.sh "$1" || status=$?
  ((status != 2)) || fail 43 "its snapshot could not be handled (above); its system is as it was"
}

# boot_limit: seconds that AETHER_HOST may take to come back from a reboot: AETHER_BOOT_TIMEOUT (default 300), or three times what its
# last boot took, firmware and all, where that is more; an hour at most.
boot_limit() {
  local took
  took=$(remote "$AETHER_HOST" systemctl show --property=FirmwareTimestampMonotonic --property=FinishTimestampMonotonic --value \
    </dev/null 2>/dev/null || true)
  awk -v least="${AETHER_BOOT_TIMEOUT:-300}" '{ took += $1 } END {
    seconds = int(3 * took / 1000000)
    if (seconds > 3600) seconds = 3600
    print (seconds > least ? seconds : least)
  }' <<<"$took"
}

# As many as the boot loader gives a new entry tries (nix/modules/boot.nix): after those it takes the one before.
resets=3

# reboot_and_wait: reboots AETHER_HOST and waits, boot_limit seconds at most, until it has booted again. A guest that shows no sign of
# life in that time hangs where its own watchdog does not count yet (firmware, boot loader, kernel): its node resets it, and the boot
# loader goes on to the system before. A connection that is held is one to the new boot afterwards.
reboot_and_wait() {
  local limit before shared=$control status=0 reset
  limit=$(boot_limit)
  before=$(boot_id)
  say "reboots"
  # A guest by its node, for only that gives it the hardware that waits for its next start.
  by_node reboot-guest.sh || status=$?
  case $status in
    0) ;;
    1) remote "$AETHER_HOST" "$(reboot_command)" </dev/null 2>/dev/null || true ;;
    *) fail 34 "its node could not reboot it (above); look at its console" ;;
  esac
  # Only now: the wish goes over the connection that is held.
  close_connection
  for ((reset = 1; ; reset++)); do
    if booted_since "$before" "$limit"; then break; fi
    if ((reset > resets)) || ! by_node reset-guest.sh; then
      fail 34 "did not come back within $limit s after the reboot; look at its console"
    fi
    say "did not come back within $limit s: its node reset it ($reset of $resets times at most)"
  done
  [[ $shared == none ]] || open_connection "$AETHER_HOST" 20 || fail 12 "$(explain 12 "$AETHER_HOST")"
}

reboot_command() { if [[ $(login_name) == deploy ]]; then entry reboot; else printf 'systemctl reboot'; fi; }

# booted_since BOOT-ID SECONDS: until AETHER_HOST answers from another boot.
booted_since() {
  local before=$1 deadline=$((SECONDS + $2)) after
  while :; do
    after=$(boot_id)
    if [[ -n $after && $after != "$before" ]]; then return 0; fi
    ((SECONDS < deadline)) || return 1
    sleep 0.5
  done
}
