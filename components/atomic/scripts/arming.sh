#!/usr/bin/env bash
# arming.sh HOSTNAME: what a host of that name needs so that its boots are counted where its image is another's, for arm.sh: files below
# /etc, which every deployment of the host inherits. They are the own images' (image/files/system), by other paths. Standard input:
# health checks, greenboot's part of the verdict. Standard output: a line a file, MODE PATH TEXT, the text in base64.
set -euo pipefail

system=image/files/system
units=usr/lib/systemd/system
check=greenboot/check/required.d/50-aether.sh

# file MODE PATH: standard input as a file of the host.
file() { printf '%s %s %s\n' "$1" "$2" "$(base64 --wrap=0)"; }

for name in boot-counting health health.sh; do file 644 "/etc/aether/$name" <"$system/usr/libexec/aether/$name"; done
for name in "$system"/usr/share/aether/grub/*.cfg; do file 644 "/etc/aether/grub/${name##*/}" <"$name"; done
file 644 "/etc/aether/checks/$1"
wait=greenboot-healthcheck.service.d/20-aether.conf
file 644 "/etc/systemd/system/$wait" <"$system/$units/$wait"
# By bash: what lies in /etc is nobody's program, to SELinux.
sed 's|=/usr/libexec/aether/|=/usr/bin/bash /etc/aether/|' "$system/$units/aether-boot-counting.service" |
  file 644 /etc/systemd/system/aether-boot-counting.service
sed 's|exec /usr/libexec/aether/health /usr/share/aether/checks|exec bash /etc/aether/health /etc/aether/checks|' \
  "$system/usr/lib/$check" | file 755 "/etc/$check"
