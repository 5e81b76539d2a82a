#!/usr/bin/env bash
# Builds and signs the system of a NixOS host that is away, and copies it to the fleet's cache, from where the host takes it by an order
# (ops/orders). The host is not spoken to.
# Environment: AETHER_HOST, AETHER_FLAKE (attribute), AETHER_DESIRED (drvPath or source:HASH), AETHER_BUILD_ON (operator or a host),
#   AETHER_SSH_CONFIG, AETHER_NIX, AETHER_SECRETS.
# Standard output: the closure, and the revision of the repository. Exit codes: 10 build, 11 copy.
# shellcheck source=components/scripts/operator.sh
source components/scripts/operator.sh
# shellcheck source=components/nixos/scripts/building.sh
source components/nixos/scripts/building.sh
exec </dev/null

link_config
cache_of
[[ -n $push ]] || fail 11 "takes nothing from a cache"
say "builds"
if [[ $AETHER_BUILD_ON == operator ]]; then
  closure=$(build_here "$(installable)")
  sign "$closure"
  to_cache "$closure"
else
  export NIX_SSHOPTS="-F $connection/config"
  closure=$(build_at "$AETHER_BUILD_ON" "$(installable)")
  sign --store "ssh-ng://$AETHER_BUILD_ON" "$closure"
  to_cache --from "ssh-ng://$AETHER_BUILD_ON" "$closure"
fi
printf '%s %s\n' "$closure" "$(revision)"
