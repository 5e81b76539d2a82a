#!/usr/bin/env bash
# Runs on a host that is not NixOS: every health check of standard input within its own time, or the first that fails and why.
# Argument: seconds for which they have to go on holding then; default 0.
set -euo pipefail
address=$(hostname -I | awk '{ print $1 }')

holds() {
  case $1 in
    unit) systemctl is-active --quiet "$2" ;;
    tcp) timeout 3 bash -c "</dev/tcp/$address/$2" 2>/dev/null ;;
    http) [[ $(curl -ksS -o /dev/null -m 5 -w '%{http_code}' "${2//\{address\}/$address}" 2>/dev/null) == "$3" ]] ;;
    command) timeout 30 sh -c "$2" >/dev/null 2>&1 ;;
    *) return 2 ;;
  esac
}

# ask [0]: every check; those that take nothing back are told of. With 0 nobody is given time.
ask() {
  local kind value status seconds policy deadline
  while IFS=$'\t' read -r kind value status seconds policy; do
    [[ -n $kind ]] || continue
    [[ ${1:-} != 0 || $policy != warn ]] || continue
    deadline=$((SECONDS + ${1:-$seconds}))
    until holds "$kind" "$value" "$status"; do
      if ((SECONDS >= deadline)); then
        if [[ $policy == warn ]]; then
          printf '%s: WARNING: %s %s does not hold\n' "$(hostname)" "$kind" "$value" >&2
          break
        fi
        printf '%s: not healthy: %s %s\n' "$(hostname)" "$kind" "$value" >&2
        [[ $kind == unit ]] && journalctl --no-pager -u "$value" -n 5 >&2
        exit 31
      fi
      sleep 0.2
    done
  done <<<"$checks"
}

checks=$(cat)
ask
until=$((SECONDS + ${1:-0}))
while ((SECONDS < until)); do
  sleep 1
  ask 0
done
