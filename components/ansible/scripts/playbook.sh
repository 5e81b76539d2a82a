#!/usr/bin/env bash
# Runs one playbook on one host. Prints Ansible's recap of it; the whole output goes to .aether/logs/ansible-HOST.log, the recap of
# all hosts beside it, as JSON.
# With AETHER_MODE=check nothing is changed: what a run would change goes to standard output, as Ansible's JSON (stacks/ansible_check.py).
# Standard input: what the run is made of, for those who review the change; not read.
# Environment: AETHER_HOST, AETHER_PLAYBOOK, AETHER_INVENTORY, AETHER_ENDPOINTS, AETHER_SSH_CONFIG, AETHER_SECRETS, AETHER_VAR_name.
# Exit codes: 12 unreachable, 22 wrong host key, 50 the playbook failed.
# shellcheck source=components/scripts/operator.sh
source components/scripts/operator.sh

status=0
wait_for "$AETHER_HOST" "${AETHER_WAIT:-20}" || status=$?
((status == 0)) || fail "$status" "$(explain "$status" "$AETHER_HOST")"

# AETHER_VAR_name=value: extra variables, as JSON, so that a value may hold anything.
variables=$(python3 -c '
import json, os
print(json.dumps({key.removeprefix("AETHER_VAR_"): value for key, value in os.environ.items() if key.startswith("AETHER_VAR_")}))')

log=.aether/logs/ansible-$AETHER_HOST.log
mkdir -p .aether/logs
export ANSIBLE_CONFIG=ansible/ansible.cfg ANSIBLE_NOCOLOR=1 ANSIBLE_LOCALHOST_WARNING=false
ANSIBLE_SSH_ARGS="-F $(printf '%q' "$PWD/$AETHER_SSH_CONFIG") -o ControlMaster=auto -o ControlPersist=30s"
ANSIBLE_SSH_CONTROL_PATH_DIR="${TMPDIR:-/tmp}/aether-ansible-$(id -u)"
export ANSIBLE_SSH_ARGS ANSIBLE_SSH_CONTROL_PATH_DIR
export ANSIBLE_PARAMIKO_PROXY_COMMAND='' ANSIBLE_LIBSSH_CONFIG_FILE="$PWD/$AETHER_SSH_CONFIG"

if [[ ${AETHER_MODE:-} == check ]]; then
  # A playbook may stop where an earlier task would have made what a later one wants; what it found until there counts.
  ANSIBLE_STDOUT_CALLBACK=ansible.posix.json \
    ansible-playbook -i ansible/inventory.py --limit "$AETHER_HOST" --check --diff --extra-vars "$variables" "ansible/$AETHER_PLAYBOOK" </dev/null || true
  exit 0
fi

# By these and not by ansible.cfg, which is part of what every playbook is made of.
export ANSIBLE_CALLBACK_PLUGINS="$PWD/ansible/callback_plugins" ANSIBLE_CALLBACKS_ENABLED=aether_recap
export AETHER_RECAP=.aether/logs/ansible-$AETHER_HOST.json
printf "{}" >"$AETHER_RECAP"

say "runs ${AETHER_PLAYBOOK}"
ansible-playbook -i ansible/inventory.py --limit "$AETHER_HOST" --extra-vars "$variables" "ansible/$AETHER_PLAYBOOK" >"$log" 2>&1 </dev/null || {
  grep -E -A 12 '^(fatal|failed|ERROR|\[ERROR\])' "$log" | sed -n '1,24s/^/    /p' >&2 || tail -n 12 "$log" >&2
  account failed "$AETHER_PLAYBOOK"
  fail 50 "${AETHER_PLAYBOOK} failed half-way; once the cause is gone, the same command goes on. The whole output: $log"
}
recap=$(python3 -c '
import json, os
said = json.load(open(os.environ["AETHER_RECAP"])).get(os.environ["AETHER_HOST"], {})
print(*(f"{what}={count}" for what, count in said.items()))')
say "${recap:-no task matched}"
account configured "$AETHER_PLAYBOOK"
printf '%s\n' "$recap"
