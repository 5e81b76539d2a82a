#!/usr/bin/env bash
# Builds the flake's image AETHER_IMAGE and leaves it at AETHER_OUTPUT. An image that is there already is not built again.
# Environment: AETHER_NIX, AETHER_IMAGE (attribute of packages.x86_64-linux), AETHER_OUTPUT (path), AETHER_DESIRED.
set -euo pipefail

if [[ ! -s $AETHER_OUTPUT ]]; then
  printf '%s: builds %s\n' "$AETHER_IMAGE" "$AETHER_OUTPUT" >&2
  built=$("$AETHER_NIX" --extra-experimental-features 'nix-command flakes' build --no-link --print-out-paths \
    ".#packages.x86_64-linux.$AETHER_IMAGE")
  # The output is the image itself, or a folder with one image somewhere below.
  image=$(find -L "$built" -type f \( -name '*.qcow2' -o -name '*.tar.xz' -o -name '*.img' -o -name '*.raw' \) -print -quit)
  [[ -n $image ]] || {
    printf '%s holds no image\n' "$built" >&2
    exit 1
  }
  mkdir -p "$(dirname "$AETHER_OUTPUT")"
  draft=$(mktemp "$AETHER_OUTPUT.XXXXXX")
  trap 'rm -f "$draft"' EXIT
  cp "$image" "$draft"
  chmod 0644 "$draft"
  mv "$draft" "$AETHER_OUTPUT"
fi
printf '%s\n' "$AETHER_OUTPUT"
