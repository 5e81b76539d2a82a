#!/usr/bin/env bash
# nix.sh ARGUMENTS...: Nix with flakes. The machine's own, or Debian's nix-bin unpacked into the cache on first use.
# With NIXTREES set, store and state lie in there, nothing is fetched and no daemon is asked: for evaluation alone.
#   AETHER_NIX    the executable to use instead       AETHER_CACHE  where downloads are kept (default ~/.cache/aether)
set -euo pipefail
here=$(dirname "$(realpath "$0")")
cache=${AETHER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/aether}

# The last word on a setting counts: these yield to the caller's NIX_CONFIG, `ours` does not.
defaults="accept-flake-config = false
warn-dirty = false"
ours="extra-experimental-features = nix-command flakes"
private="substituters =
sandbox = false
build-users-group =
flake-registry ="

isolate() {
  export NIX_STORE_DIR=$1/nix/store NIX_STATE_DIR=$1/nix/var NIX_LOG_DIR=$1/nix/log NIX_CONF_DIR=$1/nix/etc
  export XDG_CACHE_HOME=$1/nix/cache
  ours+=$'\n'$private
}

if [ -n "${AETHER_NIX:-}" ]; then
  nix=("$AETHER_NIX")
elif [ -z "${NIXTREES:-}" ] && command -v nix >/dev/null; then
  nix=(nix)
elif [ -n "${NIXTREES:-}" ] && [ -x "$NIXTREES/nixbin/nix" ]; then
  nix=("$NIXTREES/nixbin/nix")
else
  unpacked=$cache/debian-nix
  [ -x "$unpacked/run" ] || "$here/unpack-debian.sh" "$unpacked" trixie nix-bin git- >&2
  nix=("$unpacked/run" usr/bin/nix)
  # Unpacked by hand, it has no /nix to write to.
  [ -n "${NIXTREES:-}" ] || isolate "$cache"
fi
[ -z "${NIXTREES:-}" ] || isolate "$NIXTREES"

export NIX_CONFIG=$defaults${NIX_CONFIG:+$'\n'$NIX_CONFIG}$'\n'$ours
exec "${nix[@]}" "$@"
