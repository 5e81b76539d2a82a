#!/usr/bin/env bash
# get-checkers.sh [DIR]: fetches the real programs that check what the hosts' configurations generate, and writes
# DIR/bin (default: $AETHER_CACHE/checkers/bin) with haproxy, nft, promtool, amtool, quadlet, systemd-analyze, caddy, nixfmt and deadnix, and with the
# programs that make disks (cryptsetup, btrfs, mkfs.*, sgdisk).
# A program that cannot be had is named and left out; tests/nix then skips its checks and says so.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
cache=${AETHER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/aether}
dir=$(mkdir -p "${1:-$cache/checkers}/bin" && realpath "${1:-$cache/checkers}")

missing() {
  echo "get-checkers.sh: no $1: $2" >&2
}

wrap() { # wrap NAME PATH-IN-DEBIAN
  printf '#!/bin/sh\nexec %q %q "$@"\n' "$dir/debian/run" "$2" >"$dir/bin/$1"
  chmod +x "$dir/bin/$1"
}

wrap_disk() { # wrap_disk NAME PATH-IN-DEBIAN
  printf '#!/bin/sh\nexec %q %q "$@"\n' "$dir/disks/run" "$2" >"$dir/bin/$1"
  chmod +x "$dir/bin/$1"
}

if [ ! -x "$dir/debian/run" ]; then
  "$here/unpack-debian.sh" "$dir/debian" trixie haproxy nftables prometheus prometheus-alertmanager podman systemd ||
    missing "haproxy, nft, promtool, amtool, quadlet, systemd-analyze" "Debian's packages could not be unpacked"
fi
if [ -x "$dir/debian/run" ]; then
  wrap haproxy usr/sbin/haproxy
  wrap nft usr/sbin/nft
  wrap promtool usr/bin/promtool
  wrap amtool usr/bin/amtool
  wrap quadlet usr/libexec/podman/quadlet
  wrap systemd-analyze usr/bin/systemd-analyze
fi

# What makes disks, for the layouts of personal machines.
if [ ! -x "$dir/disks/run" ]; then
  "$here/unpack-debian.sh" "$dir/disks" trixie cryptsetup-bin btrfs-progs dosfstools gdisk util-linux ||
    missing "cryptsetup, btrfs, mkfs.btrfs, mkfs.vfat, fsck.fat, sgdisk, partx" "Debian's packages could not be unpacked"
fi
if [ -x "$dir/disks/run" ]; then
  for program in cryptsetup mkfs.btrfs mkfs.vfat fsck.fat sgdisk; do wrap_disk "$program" "usr/sbin/$program"; done
  for program in btrfs partx; do wrap_disk "$program" "usr/bin/$program"; done
fi

if command -v go >/dev/null; then
  [ -x "$dir/bin/caddy" ] || GOBIN=$dir/bin go install github.com/caddyserver/caddy/v2/cmd/caddy@v2.10.2 ||
    missing caddy "go install failed"
else
  missing caddy "Go is not installed"
fi

if command -v cargo >/dev/null; then
  for crate in nixfmt_rs@0.5.3 deadnix@1.3.1; do
    program=${crate%%[_@]*}
    [ -x "$dir/bin/$program" ] || cargo install --quiet --root "$dir" "$crate" || missing "$program" "cargo install failed"
  done
else
  missing "nixfmt, deadnix" "Rust's cargo is not installed"
fi
ls "$dir/bin"
