# shellcheck shell=bash
# health-units.sh UNIT...: waits until every unit is active, at most four minutes; names those that are not.
deadline=$((SECONDS + 240))
while true; do
  waiting=()
  for unit in "$@"; do
    systemctl is-active --quiet "$unit" || waiting+=("$unit")
  done
  if [ ${#waiting[@]} -eq 0 ]; then exit 0; fi
  if [ "$SECONDS" -ge "$deadline" ]; then
    echo "not active: ${waiting[*]}" >&2
    exit 1
  fi
  sleep 2
done
