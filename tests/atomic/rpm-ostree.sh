#!/usr/bin/env bash
# rpm-ostree.sh status [--json]|rollback: of rpm-ostree, which Debian lacks, what greenboot asks for, by the real `ostree admin`.
set -euo pipefail

# One line a deployment: NUMBER, * or -, checksum and serial, what ostree says of it.
list() { ostree admin status | sed -nE 's/^([ *]) \S+ ([0-9a-f]+\.[0-9]+)( \((.*)\))?$/\1 \2 \4/p' | sed 's/^ /-/' | cat -n | sed 's/\t/ /'; }

case $1 in
  status)
    if [[ ${2-} == --json ]]; then
      list | awk 'BEGIN { printf "{\"deployments\":[" } {
        printf "%s{\"checksum\":\"%s\",\"booted\":%s,\"staged\":%s}", comma, $3, $2 == "*" ? "true" : "false", $4 == "staged" ? "true" : "false"
        comma = "," } END { print "]}" }'
    else
      list | while read -r _ mark id what; do
        [[ $mark != '*' ]] || what=booted
        echo "$id ($what)"
      done
    fi
    ;;
  # The booted one becomes the first; where it is the first already, the one behind it does.
  rollback)
    booted=$(list | awk '$2 == "*" { print $1 - 1 }')
    ostree admin set-default $((booted > 0 ? booted : 1))
    ;;
esac
