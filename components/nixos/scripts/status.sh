#!/usr/bin/env bash
# shellcheck disable=SC2154,SC2034 # run, state, profile, failed and the like are host.sh's
# Runs on the host, behind host.sh: what it runs, and how it is, as JSON. Changes nothing.
# Arguments, all of which may be left out: own address, health checks (KIND, VALUE, STATUS, SECONDS; tab-separated, one a line).
: "${run:?host.sh comes first}"
address=${1:-127.0.0.1} checks=${2:-}
# An answer is waited for; a check that takes longer says nothing good.
check_limit=8

text() { printf '"%s"' "$(printf '%s' "$1" | tr '\n\t' '  ' | sed 's/[\\"]/\\&/g')"; }

# list: the lines of standard input as a JSON list of texts.
list() {
  local line comma=''
  printf '['
  while IFS= read -r line; do
    [[ -n $line ]] || continue
    printf '%s' "$comma"
    text "$line"
    comma=', '
  done
  printf ']'
}

# failing: every check that does not hold now, all asked at once.
failing() {
  local kind value status rest
  while IFS=$'\t' read -r kind value status rest; do
    [[ -n $kind ]] || continue
    { check_once "$kind" "$value" "$status" || printf '%s %s\n' "$kind" "$value"; } &
  done <<<"$checks"
  wait
}

# The certificate that was renewed last longest ago, in seconds since 1970; 0: there is none.
oldest_certificate() {
  find /var/lib/acme -mindepth 2 -maxdepth 2 -name cert.pem -printf '%T@\n' 2>/dev/null | sort -n | sed -n '1s/\..*//p'
}

last_backup() { sed -n 's/^aether_backup_last_success_timestamp_seconds \([0-9]*\).*/\1/p' /var/lib/node-exporter-text/backup.prom 2>/dev/null || true; }

memory() { sed -n "s/^$1: *\([0-9]*\) kB/\1/p" /proc/meminfo; }

read -r desired deployed < <(cat "$state/deployed" 2>/dev/null || echo '- -')
read -r load _ </proc/loadavg
last=$(tail -n 1 "$state/deployments.jsonl" 2>/dev/null || true)
order=$(cat "$state/order-refused" 2>/dev/null || cat "$state/order" 2>/dev/null || true)
certificate=$(oldest_certificate || true)
backup=$(last_backup)
printf '{"host": "%s", "current": "%s", "booted": "%s", "generation": "%s", "desired": "%s", "deployed": "%s", "since": "%s", "kernel": "%s", ' \
  "$own_name" "$(current)" "$(booted)" "$(generation)" "$desired" "$deployed" "$(stat -c %Y /run/current-system 2>/dev/null || echo 0)" \
  "$(needs_reboot "$(current)" && echo other || echo same)"
printf '"deployed_at": %s, "last": %s, "order": %s, "certificate": %s, "backup": %s, "load": %s, "memory": %s, "available": %s, ' \
  "$(stat -c %Y "$state/deployed" 2>/dev/null || echo null)" "${last:-null}" "${order:-null}" "${certificate:-null}" "${backup:-null}" "$load" \
  "$(memory MemTotal)" "$(memory MemAvailable)"
printf '"unhealthy": %s, "failed": %s}\n' "$(failing | sort | list)" \
  "$(systemctl list-units --failed --plain --no-legend 2>/dev/null | cut -d' ' -f1 | list)"
