#!/usr/bin/env bash
# Gives a new guest its own SSH host key, through the node that it runs on, and waits until it answers with it.
# The private key goes from sops by standard input over the pinned connection to the node; it is never an argument or a file here.
# Environment: AETHER_HOST, AETHER_NODE, AETHER_VMID, AETHER_GUEST (vm or lxc), AETHER_SECRETS, AETHER_SSH_CONFIG;
#   AETHER_LEASE (`ADDRESS MAC`) where it asks the router for its address, which may take AETHER_LEASE_TIMEOUT seconds (120).
# shellcheck source=components/scripts/operator.sh
source components/scripts/operator.sh

if wait_for "$AETHER_HOST" 0; then
  say "answers with its own key already"
  printf 'ready\n'
  exit 0
fi
key_file=$AETHER_SECRETS/hosts/$AETHER_HOST.yaml
[[ -r $key_file ]] || fail 40 "$key_file does not exist. Fix: ./aether secrets init"
command -v sops >/dev/null || fail 41 "sops is not installed. Fix: ./aether engine ensure, or install it (https://getsops.io)"
private=$(sops decrypt --extract '["ssh_host_ed25519_key"]' "$key_file") ||
  fail 41 "sops cannot decrypt $key_file. Fix: set SOPS_AGE_KEY_FILE to a key that the file is encrypted to"

say "gives it its SSH host key through $AETHER_NODE"
status=0
run_on "$AETHER_NODE" components/proxmox/scripts/install-host-key.sh "$AETHER_GUEST" "$AETHER_VMID" <<<"$private" || status=$?
unset private
if ((status == 255)); then
  # ssh's own: the node was not reached, or not as the inventory knows it.
  reachable "$AETHER_NODE" || fail $? "$(explain $? "$AETHER_NODE")"
fi
((status == 0)) || fail 42 "$AETHER_NODE could not put the SSH host key into guest $AETHER_VMID"

if [[ -n ${AETHER_LEASE:-} ]]; then
  say "waits for its lease"
  read -r address mac <<<"$AETHER_LEASE"
  status=0
  run_on "$AETHER_NODE" components/proxmox/scripts/check-lease.sh \
    "$AETHER_GUEST" "$AETHER_VMID" "$address" "$mac" "${AETHER_LEASE_TIMEOUT:-120}" </dev/null >&2 || status=$?
  if ((status == 255)); then
    reachable "$AETHER_NODE" || fail $? "$(explain $? "$AETHER_NODE")"
  fi
  ((status == 0)) || fail 44 "it has not the address of its inventory entry (above). Fix: reserve $address for $mac at the router, and run the same again"
fi
status=0
wait_for "$AETHER_HOST" 120 || status=$?
((status == 0)) || fail "$status" "$(explain "$status" "$AETHER_HOST")"
say "answers with its own key"
printf 'ready\n'
