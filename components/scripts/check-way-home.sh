#!/usr/bin/env bash
# Runs on the public gateway: asks its own front door for a public service of the homelab, as the world does, until the answer is
# one that came from home. Arguments: NAME (of the service), SECONDS.
# The public gateway's Caddy answers 502 by itself where nobody is at the other end of the tunnel. Certificates are not what is proved.
set -euo pipefail
name=$1 seconds=$2 code=000
address=$(hostname -I | awk '{ print $1 }')

deadline=$((SECONDS + seconds))
until [[ $code =~ ^[234] ]]; do
  if ((SECONDS >= deadline)); then
    printf '%s: no way home: https://%s/ answers %s\n' "$(hostname)" "$name" "$code" >&2
    wg show >&2 || true
    exit 31
  fi
  code=$(curl -ksS -o /dev/null -m 10 -w '%{http_code}' --resolve "$name:443:$address" "https://$name/" 2>/dev/null) || sleep 0.5
  [[ $code =~ ^[234] ]] || sleep 0.5
done
