#!/bin/sh
# Runs on a machine that is to be installed: what it is, and its disks. Changes nothing; a rescue system may have no more than sh.
# Arguments: device names, each of which is said with what it leads to.
set -eu
say() { printf '%s=%s\n' "$1" "$2"; }
release() { sed -n "s/^$1=//p" /etc/os-release | tr -d '"' | head -n 1; }

say hostname "$(cat /proc/sys/kernel/hostname)"
say system "$(release PRETTY_NAME)"
say variant "$(release VARIANT_ID)"
say machine "$(uname -m)"
say user "$(id -u)"
say memory "$(awk '/^MemTotal:/ { print int($2 / 1024) }' /proc/meminfo)"
if [ -d /sys/firmware/efi ]; then say firmware efi; else say firmware bios; fi
say container "$(systemd-detect-virt --container 2>/dev/null || true)"
for device in "$@"; do
  if [ -e "$device" ]; then say "device:$device" "$(readlink -f "$device")"; fi
done
say disks "$(lsblk --json --bytes --output NAME,PATH,TYPE,SIZE,SERIAL,MODEL,RO,FSTYPE,LABEL,MOUNTPOINT | tr -d '\n')"
