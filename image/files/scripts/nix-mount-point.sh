#!/usr/bin/env bash
# The root of an Atomic system is read-only: the mount point of the Nix store has to be in the image.
set -euo pipefail

mkdir -p /nix
chmod 0755 /nix
