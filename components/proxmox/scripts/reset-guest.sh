#!/usr/bin/env bash
# Runs on a Proxmox node: resets a virtual machine of this node that hangs in its boot, as the button of a case does. Only one whose
# guest agent is known not to run: where it runs, or where there is none to ask, the machine may be at work.
# Arguments: qm or pct, VMID.  Exit 3: the guest is not on this node.
set -euo pipefail
tool=$1 vmid=$2

"$tool" status "$vmid" >/dev/null 2>&1 || exit 3
if [[ $tool != qm ]]; then
  printf 'guest %s: a container has no firmware, boot loader or kernel to hang in; it is not reset\n' "$vmid"
  exit 1
fi
status=0
said=$(qm guest cmd "$vmid" ping 2>&1) || status=$?
if ((status == 0)); then
  printf 'guest %s: its agent answers, so it is not reset\n' "$vmid"
  exit 1
fi
if [[ $said != *'guest agent is not running'* ]]; then
  printf 'guest %s: is not reset, because nothing says whether it hangs: %s\n' "$vmid" "$said"
  exit 1
fi
printf 'guest %s: shows no sign of life, so it is reset\n' "$vmid"
qm reset "$vmid"
