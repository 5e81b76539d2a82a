# shellcheck shell=bash
# health-units.sh UNIT...: waits until every unit is active, at most HEALTH_SECONDS; names those that are not. A boot whose entry
# still counts its tries (BLESS says indeterminate) is then left again: the next one is another try, and in the end of the generation
# before. A generation that was good once stays up, whatever is broken: another boot would mend nothing.
# By the seconds since the boot: a time server sets the clock in just these minutes.
now() {
  local seconds
  read -r seconds _ </proc/uptime
  echo "${seconds%%.*}"
}
deadline=$(($(now) + ${HEALTH_SECONDS:-240}))
while true; do
  waiting=()
  for unit in "$@"; do
    systemctl is-active --quiet "$unit" || waiting+=("$unit")
  done
  if [ ${#waiting[@]} -eq 0 ]; then exit 0; fi
  if [ "$(now)" -ge "$deadline" ]; then
    echo "not active: ${waiting[*]}" >&2
    if [ "$("${BLESS:-false}" status 2>/dev/null)" = indeterminate ]; then
      echo "this generation was never healthy: reboots, and boots the one before when its tries are used up" >&2
      systemctl --no-block reboot
    fi
    exit 1
  fi
  sleep 1
done
