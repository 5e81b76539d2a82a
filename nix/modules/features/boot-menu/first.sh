#!/usr/bin/env bash
# first.sh ESP LABEL LOADER: puts a loader of the ESP first in the firmware's boot order, and makes its entry if there
# is none for this ESP. Harmless to run again; where the firmware's variables cannot be written (installer, image) it says so.
set -euo pipefail
esp=$1 label=$2 loader=$3

if ! entries=$(efibootmgr --verbose 2>/dev/null); then
  echo "first.sh: no EFI variables here; $label is not put first. Run the switch again on the machine itself." >&2
  exit 0
fi
number_of() { sed -nE "s/^Boot([0-9A-Fa-f]{4})\*? $label(\s.*)?$/\1/p" | head -n 1; }

partition=$(findmnt --noheadings --output SOURCE "$esp")
uuid=$(lsblk --noheadings --nodeps --output PARTUUID "$partition" | tr -d ' ')
# An entry that names the partition of an earlier installation starts nothing.
while number=$(number_of <<<"$entries") && [ -n "$number" ]; do
  if grep -E "^Boot$number" <<<"$entries" | grep -qi "GPT,$uuid"; then break; fi
  efibootmgr --quiet --bootnum "$number" --delete-bootnum
  entries=$(efibootmgr --verbose)
done
if [ -z "$number" ]; then
  disk=/dev/$(lsblk --noheadings --nodeps --output PKNAME "$partition" | head -n 1)
  index=$(lsblk --noheadings --nodeps --output PARTN "$partition" | tr -d ' ')
  entries=$(efibootmgr --create --disk "$disk" --part "$index" --label "$label" --loader "$loader")
  number=$(number_of <<<"$entries")
fi
order=$(sed -nE 's/^BootOrder: (.*)$/\1/p' <<<"$entries")
rest=$(tr ',' '\n' <<<"$order" | grep -vix "$number" | paste -sd, || true)
wanted=$number${rest:+,$rest}
[ "$order" = "$wanted" ] || efibootmgr --quiet --bootorder "$wanted"
