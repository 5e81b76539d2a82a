#!/usr/bin/env bash
# Runs on a Proxmox node for `aether doctor`, and changes nothing: says of itself what the operator compares, NAME=VALUE a line.
printf 'time=%s\n' "$(date +%s)"
printf 'synchronized=%s\n' "$(timedatectl show --property NTPSynchronized --value 2>/dev/null)"
printf 'free=%s\n' "$(df -Pk / | awk 'NR == 2 { print $4 }')"
# Where its packages come from: the one name that every node has to find.
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
  grep -v '^ *#' |
  sed -nE 's#^.*https?://([^/: ]+).*#\1#p' | head -n 1)
printf 'mirror=%s\n' "$mirror"
if [[ -n $mirror ]] && getent hosts "$mirror" >/dev/null; then printf 'resolves=yes\n'; else printf 'resolves=no\n'; fi
