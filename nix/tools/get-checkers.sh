#!/usr/bin/env bash
# get-checkers.sh [--nix|--machine] [DIR]: fetches the real programs that check what the hosts' configurations generate, and writes
# DIR/bin (default: $AETHER_CACHE/checkers/bin) with haproxy, nft, promtool, amtool, blackbox_exporter, quadlet, systemd-analyze, caddy,
# step-ca, otelcol, keycloak-realm, nixfmt and deadnix, and with the programs that make disks (cryptsetup, btrfs, mkfs.*, sgdisk).
# DIR/backup gets sshd and restic, for tests/ansible.
# AdGuardHome, bao, loki and tempo are used where they are installed: their Go modules do not build by themselves.
# With --nix only nixfmt and deadnix; with --machine only a machine to boot (QEMU, its firmware, boot loaders, and the kernel and
# programs of a live medium), 0.5 GB, for tests/nix/test_machine.py. A program that cannot be had is named and left out; tests/nix then skips its checks and says so.
set -euo pipefail
only=''
case ${1:-} in --nix | --machine)
  only=${1#--}
  shift
  ;;
esac
here=$(dirname "$(realpath "$0")")
cache=${AETHER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/aether}
dir=$(mkdir -p "${1:-$cache/checkers}/bin" && realpath "${1:-$cache/checkers}")

missing() {
  echo "get-checkers.sh: no $1: $2" >&2
}

if [ "$only" = machine ]; then
  # Two roots: what runs the machine, and what runs in it.
  [ -x "$dir/machine/run" ] ||
    "$here/unpack-debian.sh" "$dir/machine" trixie qemu-system-x86 ovmf cpio ||
    missing "qemu-system-x86_64" "Debian's packages could not be unpacked"
  # nixpkgs' releases of both: trixie's systemd-boot does not know `preferred` in loader.conf (260), its rEFInd shows tools twice.
  [ -x "$dir/loader/run" ] || "$here/unpack-debian.sh" "$dir/loader" sid systemd-boot-efi refind ||
    missing "systemd-boot, rEFInd" "Debian's packages could not be unpacked"
  [ -x "$dir/medium/run" ] ||
    "$here/unpack-debian.sh" "$dir/medium" trixie linux-image-cloud-amd64 base-files bash coreutils findutils grep sed gawk \
      util-linux mount kmod liblzma5 udev cryptsetup-bin btrfs-progs dosfstools gdisk e2fsprogs parted jq openssh-client \
      efibootmgr hostname ||
    missing "a kernel and the programs of a live medium" "Debian's packages could not be unpacked"
  exit 0
fi

if command -v cargo >/dev/null; then
  for crate in nixfmt_rs@0.5.3 deadnix@1.3.1; do
    program=${crate%%[_@]*}
    [ -x "$dir/bin/$program" ] || cargo install --quiet --root "$dir" "$crate" || missing "$program" "cargo install failed"
  done
else
  missing "nixfmt, deadnix" "Rust's cargo is not installed"
fi
[ "$only" != nix ] || exit 0

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
# In a place of its own, so that a cache from before it was asked for gets it too.
if [ ! -x "$dir/probes/run" ]; then
  "$here/unpack-debian.sh" "$dir/probes" trixie prometheus-blackbox-exporter ||
    missing blackbox_exporter "Debian's package could not be unpacked"
fi
if [ -x "$dir/probes/run" ]; then
  printf '#!/bin/sh\nexec %q %q "$@"\n' "$dir/probes/run" usr/bin/prometheus-blackbox-exporter >"$dir/bin/blackbox_exporter"
  chmod +x "$dir/bin/blackbox_exporter"
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

# What backups go through; tests/ansible starts it, with a root of its own.
if [ ! -x "$dir/backup/run" ]; then
  "$here/unpack-debian.sh" "$dir/backup" trixie openssh-server restic login ||
    missing "sshd, restic" "Debian's packages could not be unpacked"
fi

collector() { # the collector with the parts that hosts use, of nixpkgs' version
  local version source=$dir/otelcol
  version=$(grep -m 1 -oE 'otlpreceiver v[0-9.]+' "$here/otelcol.yaml" | cut -d' ' -f2)
  mkdir -p "$source"
  # Sources alone: the builder's own `go mod tidy` would fetch what only tests of the parts need.
  (cd "$source" && go run "go.opentelemetry.io/collector/cmd/builder@$version" \
    --config "$here/otelcol.yaml" --skip-get-modules --skip-compilation) &&
    (cd "$source/source" && go build -mod=mod -ldflags '-s -w' -o "$dir/bin/otelcol" .)
}

if command -v go >/dev/null; then
  [ -x "$dir/bin/caddy" ] || GOBIN=$dir/bin go install github.com/caddyserver/caddy/v2/cmd/caddy@v2.10.2 ||
    missing caddy "go install failed"
  [ -x "$dir/bin/step-ca" ] || GOBIN=$dir/bin go install github.com/smallstep/certificates/cmd/step-ca@v0.28.4 ||
    missing step-ca "go install failed"
  [ -x "$dir/bin/otelcol" ] || collector || missing otelcol "the collector could not be built"
else
  missing "caddy, step-ca, otelcol" "Go is not installed"
fi

if command -v npm >/dev/null; then
  # The versions of Keycloak and of the language that its types are written in.
  if [ -d "$dir/keycloak/node_modules/typescript" ] ||
    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$dir/keycloak" \
      @keycloak/keycloak-admin-client@26.6.3 typescript@5.9.3; then
    install -m 0755 "$here/keycloak-realm.sh" "$dir/keycloak/keycloak-realm.sh"
    ln -sf ../keycloak/keycloak-realm.sh "$dir/bin/keycloak-realm"
  else
    missing keycloak-realm "npm install failed"
  fi
else
  missing keycloak-realm "npm is not installed"
fi

ls "$dir/bin"
