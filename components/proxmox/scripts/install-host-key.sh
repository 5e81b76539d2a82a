#!/usr/bin/env bash
# Runs on a Proxmox node: puts the SSH host key on standard input into a running guest and restarts its sshd.
# Arguments: vm or lxc, VMID.  VM: qm guest exec (guest agent).  LXC: pct push, pct exec.
set -euo pipefail
kind=$1 vmid=$2
tools=/run/current-system/sw/bin

# wait_until SECONDS WHAT COMMAND…
wait_until() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1 </dev/null; do
    if ((SECONDS >= deadline)); then
      printf 'guest %s: %s\n' "$vmid" "$what" >&2
      exit 1
    fi
    sleep 0.3
  done
}

lxc_runs() { [[ $(pct status "$vmid") == *running* ]] && pct exec "$vmid" -- "$tools/true"; }

case $kind in
  vm)
    wait_until 300 'the guest agent does not answer' qm guest cmd "$vmid" ping
    # shellcheck disable=SC2016 # expands in the guest
    result=$(qm guest exec "$vmid" --timeout 60 --pass-stdin 1 -- "$tools/bash" -c '
      set -e
      umask 077
      PATH=/run/current-system/sw/bin:$PATH
      mkdir -p /etc/ssh
      cat > /etc/ssh/ssh_host_ed25519_key.new
      mv /etc/ssh/ssh_host_ed25519_key.new /etc/ssh/ssh_host_ed25519_key
      ssh-keygen -y -f /etc/ssh/ssh_host_ed25519_key > /etc/ssh/ssh_host_ed25519_key.pub
      systemctl restart sshd')
    grep -Eq '"exitcode" *: *0' <<<"$result" || {
      printf '%s\n' "$result" >&2
      exit 1
    }
    ;;
  lxc)
    wait_until 120 'the container does not run' lxc_runs
    umask 077
    draft=$(mktemp /dev/shm/host-key.XXXXXX)
    trap 'rm -f "$draft" "$draft.pub"' EXIT
    cat >"$draft"
    ssh-keygen -y -f "$draft" >"$draft.pub"
    pct push "$vmid" "$draft" /etc/ssh/ssh_host_ed25519_key --perms 0600 --user 0 --group 0
    pct push "$vmid" "$draft.pub" /etc/ssh/ssh_host_ed25519_key.pub --perms 0644 --user 0 --group 0
    pct exec "$vmid" -- "$tools/systemctl" restart sshd
    ;;
  *)
    printf 'unknown kind of guest: %s\n' "$kind" >&2
    exit 2
    ;;
esac
