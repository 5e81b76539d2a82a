#!/usr/bin/env bash
# Gives a container what only root@pam may give it: features but nesting, device nodes, and all of it for a privileged one.
# Environment: AETHER_HOST, AETHER_NODE, AETHER_VMID, AETHER_SSH_CONFIG; AETHER_FEATURES like nesting=1,keyctl=1; AETHER_DEVICES,
# by blanks; AETHER_INSTANCE, new for each creation. A new container is restarted, for nothing runs in it yet; one that is in use
# is not: the change waits for its next restart. With `delete` as argument it takes all of it away again, but nesting.
# shellcheck source=components/scripts/operator.sh
source components/scripts/operator.sh

restart=yes
if [[ ${1:-} == delete ]]; then
  AETHER_DEVICES='' restart=no
  [[ $AETHER_FEATURES == *nesting=1* ]] && AETHER_FEATURES=nesting=1 || AETHER_FEATURES=
elif [[ ${PULUMI_COMMAND_STDOUT:-} == "$AETHER_INSTANCE" ]] || reachable "$AETHER_HOST"; then
  # It has had its first contact.
  restart=no
fi

status=0
read -ra devices <<<"$AETHER_DEVICES"
run_on "$AETHER_NODE" components/proxmox/scripts/set-container-options.sh \
  "$AETHER_VMID" "$restart" "$AETHER_FEATURES" "${devices[@]}" </dev/null || status=$?
if ((status == 255)); then
  reachable "$AETHER_NODE" || fail $? "$(explain $? "$AETHER_NODE")"
fi
case $status in
  0) ;;
  3) say "its options are set, and hold from its next restart on. Do it with: ./aether reboot $AETHER_HOST" ;;
  *) fail 43 "$AETHER_NODE could not set the options of container $AETHER_VMID" ;;
esac
printf '%s' "$AETHER_INSTANCE"
