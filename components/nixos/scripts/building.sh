# shellcheck shell=bash disable=SC2154,SC2034 # shared with the scripts that source it
# How the operator builds, signs, and copies to the fleet's cache. Sourced, behind operator.sh, with a connection held. Wants AETHER_HOST,
# AETHER_FLAKE, AETHER_DESIRED, AETHER_NIX, AETHER_SSH_CONFIG, AETHER_SECRETS.

nix() { "$AETHER_NIX" --extra-experimental-features 'nix-command flakes' "$@"; }

# What Nix says of a builder that went away while it built.
lost='unexpected end-of-file|Nix daemon disconnected unexpectedly|Broken pipe|Connection reset|writing to file'

# build_here INSTALLABLE: its path, built by the operator's Nix. The inventory's builders (the file `builders` beside the SSH configuration,
# in the form of Nix's machines files) take what it hands out. Nix gives up where one dies in mid-build, and passes it over the
# next time: so it is asked again.
build_here() {
  local machines='' errors status attempt builders
  builders=$(beside builders)
  [[ ! -s $builders ]] || machines=$(paste -sd ';' "$builders")
  for ((attempt = 1; ; attempt++)); do
    status=0
    if [[ -z $machines ]]; then
      { errors=$(nix build --no-link --print-out-paths "$1" 2>&1 >&3) || status=$?; } 3>&1
    else
      { errors=$(NIX_SSHOPTS="-F $connection/config" nix build --no-link --print-out-paths --builders "$machines" "$1" 2>&1 >&3) || status=$?; } 3>&1
    fi
    if [[ $status == 0 || $attempt == 3 || -z $machines ]] || ! grep -qE "$lost" <<<"$errors"; then break; fi
    say "a builder was lost in mid-build ($(grep -E "$lost" <<<"$errors" | tail -n 1)); builds again on those that answer"
  done
  ((status == 0)) || fail_with 10 "the build failed" "$errors"
}

# build_at HOST INSTALLABLE: its path in HOST's store, built there.
build_at() {
  try 10 "the build on $1 failed" nix build --no-link --print-out-paths --eval-store auto --store "ssh-ng://$1" "$2"
}

# cache_of: where the inventory has a cache, and AETHER_HOST takes from it (the file `cache` beside the SSH configuration): where to copy
# to, in $push, where it takes it from, in $pull, and whether it takes orders (orders or -), in $orders.
cache_of() {
  push='' pull='' orders=-
  read -r push pull orders < <(own_line cache) || true
}

installable() {
  case $AETHER_DESIRED in
    /*)
      if [[ -e $AETHER_DESIRED ]] || nix path-info "$AETHER_DESIRED" >/dev/null 2>&1; then
        printf '%s^out' "$AETHER_DESIRED"
        return
      fi
      say "its derivation was collected since the preview: evaluates again"
      ;;&
    *) printf '.#nixosConfigurations."%s".config.system.build.toplevel' "$AETHER_FLAKE" ;;
  esac
}

# try CODE WHAT COMMAND…: its output; on failure its last lines and CODE.
try() {
  local code=$1 what=$2 status=0 errors
  shift 2
  { errors=$("$@" 2>&1 >&3) || status=$?; } 3>&1
  ((status == 0)) || fail_with "$code" "$what" "$errors"
}

# fail_with CODE WHAT ERRORS: the last lines of ERRORS, then as fail.
fail_with() {
  tail -n 8 <<<"$3" | sed 's/^/    /' >&2
  fail "$1" "$2"
}

# sign OPTION… CLOSURE: with the fleet's key, which every host trusts. A store takes no path that nobody vouches for, from root neither.
sign() {
  local file=$AETHER_SECRETS/fleet.yaml key
  [[ -r $file ]] || fail 11 "$file does not exist, so nothing can be signed. Fix: ./aether secrets signing"
  command -v sops >/dev/null || fail 11 "sops is not installed. Fix: ./aether engine ensure, or install it (https://getsops.io)"
  key=$(sops decrypt --extract '["nix-signing-key"]' "$file") ||
    fail 11 "sops cannot decrypt $file. Fix: set SOPS_AGE_KEY_FILE to a key that the file is encrypted to"
  # The key is in a pipe: no file, no argument.
  try 11 "could not sign ${*: -1}" nix store sign --recursive --key-file <(printf '%s' "$key") "$@"
}

# to_cache OPTION… CLOSURE: copies CLOSURE to the fleet's cache. One host after the other: what two have in common goes there once.
to_cache() {
  say "copies ${*: -1} to the cache at $push"
  {
    flock 8
    try 11 "could not copy ${*: -1} to the cache at $push" nix copy --to "$push" "$@"
  } 8>>"$(beside cache.lock)"
}
