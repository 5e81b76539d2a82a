#!/usr/bin/env bash
# Gives a cloud machine its own SSH host key, over a connection that is pinned to the key that it was born with, and waits until
# it answers with its own. The private key goes from sops by standard input; it is never an argument or a file here.
# Environment: AETHER_HOST, AETHER_BOOTSTRAP_KEY (public), AETHER_SECRETS, AETHER_SSH_CONFIG, AETHER_WAIT (seconds).
# shellcheck source=components/scripts/operator.sh
source components/scripts/operator.sh

key_file=$AETHER_SECRETS/hosts/$AETHER_HOST.yaml
limit=${AETHER_WAIT:-300}
[[ -r $key_file ]] || fail 40 "$key_file does not exist. Fix: ./aether secrets init"
pins=$(mktemp "${TMPDIR:-/tmp}/aether-pin.XXXXXX")
trap 'rm -f "$pins"' EXIT
printf '%s %s\n' "$AETHER_HOST" "$AETHER_BOOTSTRAP_KEY" >"$pins"

# As it was born: the pinned key is the bootstrap key alone.
born() { ssh -F "$AETHER_SSH_CONFIG" -o ControlPath=none -o ControlMaster=no -o UserKnownHostsFile="$pins" "$AETHER_HOST" "$@"; }

deadline=$((SECONDS + limit))
until born true </dev/null >/dev/null 2>&1; do
  status=0
  reachable "$AETHER_HOST" || status=$?
  if ((status == 0)); then
    say "answers with its own key already"
    printf 'ready\n'
    exit 0
  fi
  ((SECONDS < deadline)) || fail "$status" "$(explain "$status" "$AETHER_HOST")"
  sleep 0.5
done

command -v sops >/dev/null || fail 41 "sops is not installed. Fix: ./aether engine ensure, or install it (https://getsops.io)"
private=$(sops decrypt --extract '["ssh_host_ed25519_key"]' "$key_file") ||
  fail 41 "sops cannot decrypt $key_file. Fix: set SOPS_AGE_KEY_FILE to a key that the file is encrypted to"
say "gives it its own SSH host key"
born "bash -c $(printf '%q' "$(<components/cloud/scripts/install-host-key.sh)")" <<<"$private" ||
  fail 42 "it could not take its SSH host key; see above"
unset private

status=0
wait_for "$AETHER_HOST" 120 || status=$?
((status == 0)) || fail "$status" "$(explain "$status" "$AETHER_HOST")"
say "answers with its own key"
printf 'ready\n'
