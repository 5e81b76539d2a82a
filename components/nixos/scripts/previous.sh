#!/usr/bin/env bash
# Runs on the host, behind host.sh: the system of the generation before the current one. Changes nothing. Argument: expected host name.
# shellcheck disable=SC2154,SC2034 # run, state, profile, failed and the like are host.sh's
: "${run:?host.sh comes first}"
expect_host "$1"
newest=$(nix-env -p "$profile" --list-generations | awk '{ print $1 }' | sort -rn)
for number in $newest; do
  system=$(readlink -f "$profile-$number-link")
  if ((number < $(generation))) && [[ $system != "$(current)" && -e $system ]]; then
    printf '%s\n' "$system"
    exit 0
  fi
done
fail 36 "there is no generation before $(generation)"
