#!/usr/bin/env bash
# shellcheck disable=SC2154,SC2034 # run, state, profile, failed and the like are host.sh's
# Runs on the host, behind host.sh: what it runs, as JSON. Changes nothing.
: "${run:?host.sh comes first}"
read -r desired deployed < <(cat "$state/deployed" 2>/dev/null || echo '- -')
printf '{"host": "%s", "current": "%s", "booted": "%s", "generation": "%s", "desired": "%s", "deployed": "%s", "since": "%s", "kernel": "%s"}\n' \
  "$(hostname)" "$(current)" "$(booted)" "$(generation)" "$desired" "$deployed" "$(stat -c %Y /run/current-system 2>/dev/null || echo 0)" \
  "$(needs_reboot "$(current)" && echo other || echo same)"
