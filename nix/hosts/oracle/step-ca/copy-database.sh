#!/usr/bin/env bash
# copy-database.sh UNIT SOURCE TARGET: stops UNIT, copies directory SOURCE to TARGET, and starts UNIT again whatever
# happens. A unit that was not running stays so. TARGET is replaced only by a complete copy.
set -euo pipefail
unit=$1 source=$2 target=$3

if systemctl is-active --quiet "$unit"; then
  trap 'systemctl start "$unit"' EXIT
  systemctl stop "$unit"
fi
rm -rf "$target.new"
cp -a "$source" "$target.new"
rm -rf "$target"
mv "$target.new" "$target"
