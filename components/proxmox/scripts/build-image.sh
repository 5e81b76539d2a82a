#!/usr/bin/env bash
# Leaves the flake's image AETHER_IMAGE at AETHER_OUTPUT: from the cache of images, or built. One that is there already stays.
# Environment: AETHER_NIX, AETHER_IMAGE (attribute of packages.x86_64-linux), AETHER_OUTPUT (path; its name has the hash of the
# image's sources), AETHER_DESIRED; AETHER_CACHE, by default ~/.cache/aether: its folder images outlives the checkout.
set -euo pipefail

folder=$(dirname "$AETHER_OUTPUT")
name=$(basename "$AETHER_OUTPUT")
cache=${AETHER_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/aether}/images
# A nix of the checkout's own (the simulator's) makes other images under the same name; they stay with it.
[[ $(command -v "$AETHER_NIX" || true) != "$PWD"/* ]] || cache=

keep_for_days=60

say() { printf '%s: %s\n' "$AETHER_IMAGE" "$*" >&2; }

# Put FILE at TARGET in one step: a copy that broke off never has the name.
place() {
  local draft
  mkdir -p "$(dirname "$2")"
  draft=$(mktemp "$2.XXXXXX")
  # A hard link where both are on one file system: images are gigabytes.
  if ! ln -f "$1" "$draft" 2>/dev/null && ! cp --reflink=auto "$1" "$draft"; then
    rm -f "$draft"
    return 1
  fi
  [[ -w $draft ]] && chmod 0644 "$draft"
  mv -f "$draft" "$2"
}

build() {
  local built image
  say "builds $AETHER_OUTPUT"
  built=$("$AETHER_NIX" --extra-experimental-features 'nix-command flakes' build --no-link --print-out-paths \
    ".#packages.x86_64-linux.$AETHER_IMAGE")
  # The output is the image itself, or a folder with one image somewhere below.
  image=$(find -L "$built" -type f \( -name '*.qcow2' -o -name '*.tar.xz' -o -name '*.img' -o -name '*.raw' \) -print -quit)
  [[ -n $image ]] || {
    say "$built holds no image"
    exit 1
  }
  # Never a link into the store, whose files are not to be written to.
  draft=$(mktemp "$AETHER_OUTPUT.XXXXXX")
  trap 'rm -f "$draft"' EXIT
  cp --reflink=auto "$image" "$draft"
  chmod 0644 "$draft"
  mv "$draft" "$AETHER_OUTPUT"
}

mkdir -p "$folder"
# Several uploads may need it at once.
exec 9>"$folder/.$name.lock"
flock 9
if [[ ! -s $AETHER_OUTPUT ]]; then
  if [[ -n $cache && -s $cache/$name ]]; then
    say "takes $name from $cache"
    place "$cache/$name" "$AETHER_OUTPUT"
  else
    build
    if [[ -n $cache ]]; then
      place "$AETHER_OUTPUT" "$cache/$name" || say "could not be kept in $cache"
      find "$cache" -maxdepth 1 -type f -mtime "+$keep_for_days" -delete || true
    fi
  fi
fi
[[ -z $cache || ! -e $cache/$name ]] || touch -c "$cache/$name" || true
printf '%s\n' "$AETHER_OUTPUT"
