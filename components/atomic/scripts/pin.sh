#!/usr/bin/env bash
# Runs on the host: the booted deployment is pinned and no other is, for each pinned one holds a kernel on /boot. Repeating it changes nothing.
set -euo pipefail

index=-1
booted=-1
pinned=()
while IFS= read -r line; do
  if [[ $line =~ ^[*\ ]\ [^\ ]+\ [0-9a-f]+\.[0-9]+ ]]; then
    index=$((index + 1))
    [[ $line != '*'* ]] || booted=$index
  elif [[ $line == *'Pinned: yes'* ]]; then
    pinned+=("$index")
  fi
done < <(ostree admin status)
((booted >= 0)) || {
  echo "ostree says of no deployment that it is booted" >&2
  exit 1
}
for index in "${pinned[@]}"; do
  ((index == booted)) || ostree admin pin --unpin "$index"
done
[[ " ${pinned[*]-} " == *" $booted "* ]] || ostree admin pin "$booted"
