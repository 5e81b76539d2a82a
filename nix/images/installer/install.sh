#!/usr/bin/env bash
# aether-install [--keep] [--identity FILE] [--list]: installs the machine that this medium was made for.
#   --identity FILE  the machine's SSH private host key, which its secrets are encrypted to (docs/bifrost/runbook.md)
#   --keep           mount the layout that is there instead of erasing the disk (reinstall beside another system)
#   --list           show the disks and stop
# Nothing is erased before the serial of the disk was typed in full. Environment (set by the image): AETHER_HOST,
# AETHER_SYSTEM, AETHER_ERASE, AETHER_MOUNT, AETHER_IDENTITY, AETHER_HOST_KEY; AETHER_ROOT and AETHER_DEV for tests.
set -euo pipefail
root=${AETHER_ROOT:-/mnt} dev=${AETHER_DEV:-/dev}
keep='' identity='' list='' key=''
fail() {
  echo "aether-install: $*" >&2
  exit 1
}

while [ $# -gt 0 ]; do
  case $1 in
    --keep) keep=yes ;;
    --list) list=yes ;;
    --identity)
      [ $# -gt 1 ] || fail "--identity needs a file"
      identity=$2
      shift
      ;;
    *) fail "what is '$1'? Usage: aether-install [--keep] [--identity FILE] [--list]" ;;
  esac
  shift
done

trap 'rm -f "$key"' EXIT
disks=$(lsblk --json --bytes --nodeps --output PATH,SERIAL,SIZE,MODEL,TYPE,RO |
  jq '[.blockdevices[] | select(.type == "disk" and (.ro | not))]')
echo "Disks of this machine:"
jq -r '.[] | "  \(.path)  \(.size / 1073741824 | floor) GiB  \(.model // "-")  serial \(.serial // "none")"' <<<"$disks"
[ -z "$list" ] || exit 0

if [ -n "$identity" ]; then
  [ -r "$identity" ] || fail "$identity cannot be read"
  # On a stick everybody may read it, and ssh-keygen takes no such key.
  key=$(mktemp)
  cat "$identity" >"$key"
  public=$(ssh-keygen -y -P '' -f "$key" | cut -d' ' -f1,2) || fail "$identity is no SSH private key without passphrase"
  [ "$public" = "$(cut -d' ' -f1,2 <<<"$AETHER_HOST_KEY")" ] ||
    fail "$identity is not $AETHER_HOST's key: the inventory says $AETHER_HOST_KEY. Take it from secrets/hosts/$AETHER_HOST.yaml."
else
  fail "without its SSH host key $AETHER_HOST could not read its secrets. On the operator's machine:
  sops decrypt --extract '[\"ssh_host_ed25519_key\"]' secrets/hosts/$AETHER_HOST.yaml > KEY    then here: --identity KEY"
fi

if [ -n "$keep" ]; then
  echo "$AETHER_HOST goes onto the layout that is there. Type the serial of its disk:"
else
  echo "$AETHER_HOST will be installed, and EVERYTHING on the disk will be erased. Type the serial of the disk to erase:"
fi
read -r typed || fail "nothing was typed; nothing was changed"
chosen=$(jq -r --arg serial "$typed" '[.[] | select(.serial != null and .serial == $serial)] | map(.path) | join(" ")' <<<"$disks")
[ -n "$typed" ] && [ -n "$chosen" ] || fail "no disk has the serial '$typed'; nothing was changed"
[[ $chosen != *" "* ]] || fail "more than one disk has the serial '$typed' ($chosen); unplug one. Nothing was changed"
mounted=$(lsblk --noheadings --output MOUNTPOINTS "$chosen" | grep -v '^\s*$' || true)
[ -z "$mounted" ] || fail "$chosen is in use ($(tr '\n' ' ' <<<"$mounted")): this medium itself? Nothing was changed"

mkdir -p "$dev/aether"
ln -sfn "$chosen" "$dev/aether/system"
trap 'rm -f "$dev/aether/system" "$key"' EXIT
if [ -n "$keep" ]; then "$AETHER_MOUNT"; else "$AETHER_ERASE"; fi

# The identity goes where the running machine looks for it, before its first boot.
place=$root$AETHER_IDENTITY/etc
install -d -m 0755 "$place/ssh"
install -m 0600 "$key" "$place/ssh/ssh_host_ed25519_key"
echo "$AETHER_HOST_KEY" >"$place/ssh/ssh_host_ed25519_key.pub"
[ -s "$place/machine-id" ] || tr -d '-' </proc/sys/kernel/random/uuid >"$place/machine-id"

nixos-install --root "$root" --system "$AETHER_SYSTEM" --no-root-passwd --no-channel-copy
echo "$AETHER_HOST is installed. Remove the medium and reboot."
