#!/usr/bin/env bash
# Takes the SSH host key out of the server's user data (SSH_HOST_ED25519_KEY:…, newlines written as |), and the login keys of its project.
set -euo pipefail
umask 077
metadata=${METADATA:-http://169.254.169.254/hetzner/v1}
etc=${ETC:-/etc/ssh} home=${HOME_OF_ROOT:-/root}

ask() { curl --fail --silent --show-error --retry 30 --retry-delay 1 --retry-all-errors "$metadata/$1"; }

key=$(ask userdata | sed -n 's/^SSH_HOST_ED25519_KEY://p' | tr '|' '\n')
if [ -z "$key" ]; then
  echo "user data holds no SSH_HOST_ED25519_KEY" >&2
  exit 1
fi
mkdir -p "$etc" "$home/.ssh"
printf '%s\n' "$key" >"$etc/ssh_host_ed25519_key.new"
ssh-keygen -y -f "$etc/ssh_host_ed25519_key.new" >"$etc/ssh_host_ed25519_key.pub"
mv "$etc/ssh_host_ed25519_key.new" "$etc/ssh_host_ed25519_key"
ask metadata/public-keys | sed -n 's/^[[:space:]]*-[[:space:]]*//p' | tr -d '"' >"$home/.ssh/authorized_keys"
