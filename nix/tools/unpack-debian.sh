#!/usr/bin/env bash
# unpack-debian.sh DIR SUITE PACKAGE...
# Unpacks packages of a Debian suite, with everything they depend on, into DIR/root, and writes DIR/run, which starts one of
# their programs with its own dynamic loader: `DIR/run usr/bin/nix --version`. Needs no root and leaves the machine's packages alone.
set -euo pipefail

if [ $# -lt 3 ]; then
  sed -n '2,4s/^# //p' "$0" >&2
  exit 64
fi
if ! command -v apt-get >/dev/null || ! command -v dpkg >/dev/null; then
  echo "unpack-debian.sh needs apt-get and dpkg. On another system install the programs yourself: ${*:3}" >&2
  exit 69
fi
# shellcheck source=nix/tools/debian-mirror.sh
source "$(dirname "$(realpath "$0")")/debian-mirror.sh"
dir=$(mkdir -p "$1" && realpath "$1")
suite=$2
shift 2

apt=$dir/.apt
mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$dir/root"
: >"$apt/status"
debian_source "$suite" >"$apt/sources.list"
options=(
  -qq -y
  -o "Dir::Etc::sourcelist=$apt/sources.list"
  -o Dir::Etc::sourceparts=/dev/null
  -o Dir::Etc::preferencesparts=/dev/null
  -o "Dir::State::lists=$apt/lists"
  -o "Dir::State::status=$apt/status"
  -o "Dir::Cache=$apt"
  -o "Dir::Cache::archives=$apt/archives"
  -o Debug::NoLocking=true
  -o APT::Sandbox::User=
  -o APT::Update::Post-Invoke-Success=
  -o APT::Install-Recommends=false
)
apt-get "${options[@]}" update
apt-get "${options[@]}" --download-only install "$@" libc6 >/dev/null
for package in "$apt"/archives/*.deb; do
  dpkg -x "$package" "$dir/root"
done
rm -rf "$apt"

cat >"$dir/run" <<'RUN'
#!/usr/bin/env bash
root=$(dirname "$(realpath "$0")")/root
triplet=$(basename "$(dirname "$(find "$root/usr/lib" "$root/lib" -maxdepth 2 -name libc.so.6 -print -quit 2>/dev/null)")")
loader=$(find "$root/usr/lib64" "$root/lib64" "$root/usr/lib/$triplet" "$root/lib/$triplet" -maxdepth 1 -name 'ld-linux-*' -print -quit 2>/dev/null)
program=$1
shift
exec "$loader" --library-path "$root/usr/lib/$triplet:$root/lib/$triplet:$root/usr/lib/$triplet/systemd" "$root/$program" "$@"
RUN
chmod +x "$dir/run"
