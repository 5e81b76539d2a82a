#!/usr/bin/env bash
# snapshot.sh DIRECTORY KEEP: saves a raft snapshot into DIRECTORY/openbao-TIME.snap and leaves the newest KEEP.
# Environment: BAO_ADDR, CREDENTIALS_DIRECTORY with snapshot-password.
set -euo pipefail
directory=$1 keep=$2

BAO_TOKEN=$(bao write -field=token auth/local/login/snapshot password=- <"$CREDENTIALS_DIRECTORY/snapshot-password")
export BAO_TOKEN
trap 'bao token revoke -self >/dev/null' EXIT

file=$directory/openbao-$(date --utc +%Y%m%dT%H%M%SZ).snap
bao operator raft snapshot save "$file.new"
mv "$file.new" "$file"
# Names sort by time.
find "$directory" -maxdepth 1 -name 'openbao-*.snap' | sort | head -n "-$keep" | xargs --no-run-if-empty rm --
