#!/usr/bin/env bash
# Packs the tracked files below PARTS of REPOSITORY. Prints the archive's content hash and its path; the same files give the same hash.
# Usage: pack.sh REPOSITORY "PART PART…"
set -euo pipefail
cd "$1"
read -ra parts <<<"$2"
cache=.aether/cache/bootstrap
mkdir -p "$cache"
part=$(mktemp "$cache/.part.XXXXXX")
trap 'rm -f "$part"' EXIT

# An export without git has nothing but what is tracked.
if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
  list() { git ls-files -z -- "${parts[@]}"; }
else
  list() { find "${parts[@]}" -type f -print0 -o -type l -print0; }
fi
# A tracked file that was deleted and not committed is left out.
list | while IFS= read -r -d '' file; do
  if [[ -e $file || -L $file ]]; then printf '%s\0' "$file"; fi
done | LC_ALL=C sort -z |
  tar --create --null --no-recursion --files-from=- --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=go-w --file="$part"
hash=$(sha256sum <"$part" | cut -c1-16)
mv "$part" "$cache/$hash.tar"
printf '%s\n%s\n' "$hash" "$PWD/$cache/$hash.tar"
