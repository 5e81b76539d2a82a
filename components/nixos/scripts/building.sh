# shellcheck shell=bash disable=SC2154
# How the operator builds. Sourced, behind operator.sh, with a connection held. Wants AETHER_NIX, AETHER_SSH_CONFIG.

nix() { "$AETHER_NIX" --extra-experimental-features 'nix-command flakes' "$@"; }

# What Nix says of a builder that went away while it built.
lost='unexpected end-of-file|Nix daemon disconnected unexpectedly|Broken pipe|Connection reset|writing to file'

# build_here INSTALLABLE: its path, built by the operator's Nix. The inventory's builders (the file `builders` beside the SSH configuration,
# in the form of Nix's machines files) take what it hands out. Nix gives up where one dies in mid-build, and passes it over the
# next time: so it is asked again.
build_here() {
  local machines errors status attempt
  machines=$(paste -sd ';' "$(dirname "$AETHER_SSH_CONFIG")/builders" 2>/dev/null || true)
  errors=$(mktemp)
  for ((attempt = 1; ; attempt++)); do
    status=0
    if [[ -z $machines ]]; then
      nix build --no-link --print-out-paths "$1" 2>"$errors" || status=$?
    else
      NIX_SSHOPTS="-F $held/config" nix build --no-link --print-out-paths --builders "$machines" "$1" 2>"$errors" || status=$?
    fi
    if [[ $status == 0 || $attempt == 3 || -z $machines ]] || ! grep -qE "$lost" "$errors"; then break; fi
    say "a builder was lost in mid-build ($(grep -E "$lost" "$errors" | tail -n 1)); builds again on those that answer"
  done
  ((status == 0)) || tail -n 8 "$errors" | sed 's/^/    /' >&2
  rm -f "$errors"
  ((status == 0)) || fail 10 "the build failed"
}
