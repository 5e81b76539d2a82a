#!/usr/bin/env bash
# dump-database.sh PG_DUMP DATABASE FILE: dumps DATABASE (custom format, one snapshot) as user postgres into FILE,
# which is replaced only by a complete dump. Restore: pg_restore --clean --if-exists --dbname=DATABASE FILE.
set -euo pipefail
umask 077
pg_dump=$1 database=$2 file=$3

trap 'rm -f "$file.new"' EXIT
"${RUNUSER:-/run/current-system/sw/bin/runuser}" --user=postgres -- "$pg_dump" --format=custom "$database" >"$file.new"
mv "$file.new" "$file"
