# shellcheck shell=bash disable=SC2034,SC2094,SC2154 # shared with the scripts that follow it; a file of checks is only read
# How a host's health is asked, everywhere: in a trial, after a boot, in a soak, by greenboot. Runs on the host, in front of what needs it.
# Wants say TEXT, and in $address where the host's services answer. A line of checks is KIND, VALUE, STATUS, SECONDS, tab-separated; what
# has a fifth word, warn, is only told of.

# check_once KIND VALUE STATUS: one health check, once.
check_once() {
  case $1 in
    unit) systemctl is-active --quiet "$2" ;;
    tcp) timeout 3 bash -c "</dev/tcp/$address/$2" 2>/dev/null ;;
    http) [[ $(curl -ksS -o /dev/null -m 5 -w '%{http_code}' "${2//\{address\}/$address}" 2>/dev/null) == "$3" ]] ;;
    command) timeout "${check_limit:-30}" sh -c "$2" >/dev/null 2>&1 ;;
    *) return 2 ;;
  esac
}

# now: seconds since the boot, in $now. Not $SECONDS: a time server may set the clock while a check waits.
now() {
  read -r now _ </proc/uptime
  now=${now%%.*}
}

# check_all FILE: every check within its own time; the first that fails is in $failed, the unit that it is of in $failed_unit.
check_all() {
  local kind value status seconds policy deadline
  while IFS=$'\t' read -r kind value status seconds policy; do
    [[ -n $kind ]] || continue
    if [[ ! $kind =~ ^(unit|tcp|http|command)$ ]]; then
      failed="$kind $value (no kind of check that is known here)"
      return 1
    fi
    now
    deadline=$((now + seconds))
    until check_once "$kind" "$value" "$status"; do
      now
      # A unit that has failed for good does not recover by waiting, and is why its port does not answer.
      failed_unit=''
      if broken "$1"; then
        failed="unit $failed_unit"
        return 1
      fi
      if [[ $policy == warn ]] && { ((now >= deadline)) || { [[ $kind == unit ]] && systemctl is-failed --quiet "$value"; }; }; then
        say "WARNING: $kind $value does not hold; that takes nothing back"
        break
      fi
      if ((now >= deadline)); then
        failed="$kind $value"
        [[ $kind == unit ]] && failed_unit=$value
        return 1
      fi
      sleep 0.2
    done
  done <"$1"
}

# broken FILE: one of the checked units has failed for good; which one is in $failed_unit.
broken() {
  local kind unit rest
  while IFS=$'\t' read -r kind unit rest; do
    if [[ $kind == unit && $rest != *warn ]] && systemctl is-failed --quiet "$unit"; then
      failed_unit=$unit
      return 0
    fi
  done <"$1"
  return 1
}

# stay_healthy FILE SECONDS: the checks, which all held a moment ago, go on holding. A service that crashes right after its start
# is active for that moment.
stay_healthy() {
  local until status=0
  [[ -s $1 ]] && (($2 > 0)) || return 0
  now
  until=$((now + $2))
  awk -F '\t' -v OFS='\t' 'NF && $5 != "warn" { $4 = 0; print }' "$1" >"$1.again"
  while ((now < until && status == 0)); do
    sleep 1
    check_all "$1.again" || status=$?
    now
  done
  rm -f "$1.again"
  return "$status"
}
