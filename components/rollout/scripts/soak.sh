#!/usr/bin/env bash
# Watches the hosts of a wave that changed: their health goes on holding for the soak, or the next wave does not begin.
# Environment: AETHER_HOST (this wait's name), AETHER_SOAK (seconds, counted from the last deployment of the host that has the youngest;
#   0: nobody is asked), AETHER_LEFT (what the hosts were left with; not read), AETHER_SSH_CONFIG.
# Standard input, tab-separated: HOST, nixos or other, and of a check KIND, VALUE, STATUS, SECONDS, warn; a host's first line has no check.
# Exit codes: 12 unreachable, 22 wrong host key, 31 not healthy.
# shellcheck source=components/scripts/operator.sh
source components/scripts/operator.sh

((AETHER_SOAK > 0)) || exit 0
soak=$AETHER_SOAK
# Seconds of one look, and for which a host may be silent: it may restart its network, its SSH server, or a switch on the way.
look=20 silence=60

declare -A kinds checks
hosts=()
while IFS=$'\t' read -r host kind check; do
  [[ -n $host ]] || continue
  if [[ -z ${kinds[$host]:-} ]]; then hosts+=("$host"); fi
  kinds[$host]=$kind
  [[ -z $check ]] || checks[$host]+=$check$'\n'
done
((${#hosts[@]} > 0)) || exit 0

# age HOST: seconds since its last deployment, by its own clock; 0 where it keeps no account of them.
age() {
  local now at
  { read -r now && read -r at; } < <(remote "$1" 'date +%s; tail -n 1 /var/lib/aether/deployments.jsonl' </dev/null 2>/dev/null) || true
  at=$(sed -n 's/^{"at": \([0-9]*\).*/\1/p' <<<"${at:-}")
  if [[ -n $at ]] && ((now > at)); then printf '%s' $((now - at)); else printf 0; fi
}

# unwell HOST: what of its checks does not hold now, by its own system's account of them, for whom its account may have no more; not
# what takes nothing back.
unwell() {
  local said item kind value policy
  said=$(remote "$1" "$(entry status "$(own_address "$1")" yes)" </dev/null) || return 255
  said=$(sed -n 's/.*"unhealthy": \[\(.*\)\], "failed": .*/\1/p' <<<"$said")
  while IFS=$'\t' read -r kind value _ _ policy; do
    item="$kind $value"
    item=${item//\\/\\\\}
    item=${item//\"/\\\"}
    if [[ -n $kind && $policy != warn && $said == *"\"$item\""* ]]; then printf '%s %s\n' "$kind" "$value"; fi
  done <<<"${checks[$1]}"
}

# healthy_by_account HOST SECONDS: as healthy, of a host whose account may have the steps of the protocol done and nothing else.
healthy_by_account() {
  local until=$((SECONDS + $2)) found
  while :; do
    found=$(unwell "$1") || return $?
    if [[ -n $found ]]; then
      printf '%s: not healthy: %s\n' "$1" "${found%%$'\n'*}" >&2
      return 31
    fi
    ((SECONDS < until)) || return 0
    sleep 2
  done
}

# healthy HOST SECONDS: its checks hold, each within its own time, and go on holding for SECONDS.
healthy() {
  case ${checks[$1]:+${kinds[$1]}} in
    nixos)
      if [[ $(login_name) == deploy ]]; then
        healthy_by_account "$1" "$2"
      else
        prove_health "$1" "$2" "$(own_address "$1")" <<<"${checks[$1]}"
      fi
      ;;
    other) prove_health "$1" "$2" <<<"${checks[$1]}" ;;
    *) remote "$1" true </dev/null && sleep "$2" ;;
  esac
}

# watch HOST SECONDS: looks at it again and again for SECONDS.
watch() {
  local AETHER_HOST=$1 until=$((SECONDS + $2)) silent=$((SECONDS + silence)) status left
  while :; do
    left=$((until - SECONDS))
    status=0
    healthy "$1" $((left < 0 ? 0 : left < look ? left : look)) || status=$?
    case $status in
      0) silent=$((SECONDS + silence)) ;;
      255)
        if ((SECONDS >= silent)); then
          reachable "$1" || fail $? "$(explain $? "$1")"
        fi
        sleep 2
        continue
        ;;
      127)
        say "WARNING: has no bash, so only whether it answers is watched"
        unset "checks[$1]"
        continue
        ;;
      31) fail 31 "not healthy after its deployment (above): no other wave begins" ;;
      *) fail "$status" "its health could not be asked (above)" ;;
    esac
    ((SECONDS < until)) || return 0
    say "holds; watched for $((until - SECONDS)) s more"
  done
}

# The youngest deployment counts: one that was interrupted goes on where the time has come to.
for host in "${hosts[@]}"; do
  old=$(age "$host")
  if ((AETHER_SOAK - old > ${longest:-0})); then longest=$((AETHER_SOAK - old)); fi
done
soak=${longest:-0}
say "watches ${hosts[*]} for $soak s"
declare -A watching
for host in "${hosts[@]}"; do
  watch "$host" "$soak" &
  watching[$!]=$host
done
# The first that fails ends the wait: the others' health says nothing any more.
for ((number = 0; number < ${#hosts[@]}; number++)); do
  status=0
  wait -n "${!watching[@]}" || status=$?
  if ((status != 0)); then
    for pid in "${!watching[@]}"; do kill "$pid" 2>/dev/null || true; done
    exit "$status"
  fi
done
say "is healthy"
