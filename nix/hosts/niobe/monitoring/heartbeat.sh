# shellcheck shell=bash
# Calls the address in credential heartbeat-url while alert Watchdog is active at $ALERTMANAGER_URL; fails otherwise.
set -euo pipefail
if ! amtool --alertmanager.url="$ALERTMANAGER_URL" alert query --output=simple alertname=Watchdog | grep Watchdog >/dev/null; then
  echo "alert Watchdog did not arrive: Prometheus does not evaluate, or cannot reach Alertmanager" >&2
  exit 1
fi
# --config from stdin: the address is the secret, and arguments are public.
printf 'url = "%s"\n' "$(<"$CREDENTIALS_DIRECTORY/heartbeat-url")" | curl -fsS -m 20 --retry 3 -o /dev/null --config -
