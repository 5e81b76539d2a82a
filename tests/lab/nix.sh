#!/usr/bin/env bash
# nix.sh ARGUMENTS...: the lab's operator's Nix: Debian's, with a store of its own in the cache whose paths are /nix/store/… all
# the same. Builds in a sandbox; fetches nothing. Needs root.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
cache=${AETHER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/aether}
unpacked=$cache/debian-nix
[ -x "$unpacked/run" ] || "$here/../../nix/tools/unpack-debian.sh" "$unpacked" trixie nix-bin git- >&2
export NIX_CONFIG="extra-experimental-features = nix-command flakes
store = local?root=$cache/lab/store
substituters =
build-users-group =
sandbox = true
sandbox-paths =
build-hook =
flake-registry =
warn-dirty = false
${NIX_CONFIG:-}"
export NIX_CONF_DIR=/var/empty XDG_CACHE_HOME=$cache/lab/nix
exec "$unpacked/run" usr/bin/nix "$@"
