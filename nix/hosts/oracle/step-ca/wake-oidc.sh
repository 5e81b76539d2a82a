#!/usr/bin/env bash
# wake-oidc.sh: reloads step-ca when a provisioner of it failed to initialise and the identity provider answers now.
# Environment: CA_URL, CA_ROOT (PEM), DISCOVERY (URL of the OpenID configuration), UNIT (default step-ca.service).
set -euo pipefail

provisioners=$(curl --fail --silent --show-error --max-time 10 --cacert "$CA_ROOT" "$CA_URL/provisioners?limit=100")
asleep=$(jq -r '.provisioners[] | select(.state == "Uninitialized") | .name' <<<"$provisioners")
if [ -z "$asleep" ]; then exit 0; fi

# Reloading before the provider is there would change nothing.
if ! curl --fail --silent --max-time 10 --output /dev/null "$DISCOVERY"; then
  echo "waiting for $DISCOVERY: provisioners asleep: ${asleep//$'\n'/ }"
  exit 0
fi
echo "reloading for provisioners: ${asleep//$'\n'/ }"
systemctl reload "${UNIT:-step-ca.service}"
