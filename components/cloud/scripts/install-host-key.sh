#!/usr/bin/env bash
# Runs on a cloud machine as its first user: the SSH host key on standard input takes the place of the one it was born with.
set -euo pipefail
PATH=/run/current-system/sw/bin:/run/wrappers/bin:$PATH
as=()
[[ $(id -u) == 0 ]] || as=(sudo -n)
# shellcheck disable=SC2016 # expands there
"${as[@]}" bash -c '
  set -e
  umask 077
  key=/etc/ssh/ssh_host_ed25519_key
  mkdir -p /etc/ssh
  cat > "$key.new"
  ssh-keygen -y -f "$key.new" > "$key.pub.new"
  chmod 644 "$key.pub.new"
  mv "$key.pub.new" "$key.pub"
  mv "$key.new" "$key"
  systemctl restart sshd'
