# shellcheck shell=bash
# debian_source SUITE: the line for apt that names SUITE at the mirror this machine uses already, Debian's own otherwise. Sourced.
debian_source() {
  local keyring=/usr/share/keyrings/debian-archive-keyring.gpg mirror
  if [ ! -r "$keyring" ]; then
    echo "$keyring is missing. Install the package debian-archive-keyring." >&2
    return 69
  fi
  mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
    grep -v '^#' | grep -oE 'https?://[^ ]*/debian/?( |$)' | sed -n 1p | tr -d ' ' || true)
  printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "${mirror:-http://deb.debian.org/debian}" "$1"
}
