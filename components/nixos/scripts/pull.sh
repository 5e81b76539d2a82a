#!/usr/bin/env bash
# Runs on the host as root: takes a system from the fleet's binary cache, and from the host's own ones what those have. Nix takes no path
# that no trusted key has signed.
# Arguments: closure, URL of the cache.
# Exit codes: 11 it is not to be had.
set -euo pipefail
PATH=/run/current-system/sw/bin:$PATH
errors=$(mktemp)
trap 'rm -f "$errors"' EXIT
# What the cache lacked a moment ago it may have now: Nix remembers that for an hour.
if ! nix-store --realise "$1" --option extra-substituters "$2" --option narinfo-cache-negative-ttl 0 >/dev/null 2>"$errors"; then
  tail -n 8 "$errors" | sed 's/^/    /' >&2
  exit 11
fi
