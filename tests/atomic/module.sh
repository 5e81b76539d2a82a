#!/usr/bin/env bash
# module.sh TYPE JSON: stands in for BlueBuild's modules, which its own image has: does with a recipe's words what they do, as far as that
# needs neither a network nor Fedora. Packages are those that /names/units knows units of (UNIT PACKAGE, a line each).
set -euo pipefail
type=$1
words() { jq -r "$1 // [] | .[]" <<<"$json"; }
json=$2

case $type in
  dnf)
    # A package is the units that it brings.
    while read -r package; do
      while read -r unit from; do
        if [[ $from == "$package" ]]; then
          for kind in system user; do
            printf '[Unit]\nDescription=%s\n[Install]\nWantedBy=default.target\n' "$unit" >"/usr/lib/systemd/$kind/$unit"
          done
        fi
      done </names/units
    done < <(words .install.packages)
    ;;
  files)
    while IFS=$'\t' read -r source destination; do
      cp -r "/tmp/files/$source/." "$destination"
    done < <(jq -r '.files[] | [.source, .destination] | @tsv' <<<"$json")
    ;;
  justfiles)
    while read -r file; do test -f "/tmp/files/justfiles/$file"; done < <(words .include)
    ;;
  script)
    cd /tmp/files/scripts
    while read -r file; do
      chmod +x "$file"
      "./$file"
    done < <(words .scripts)
    ;;
  systemd)
    while read -r unit; do systemctl enable "$unit"; done < <(words .system.enabled)
    while read -r unit; do systemctl disable "$unit"; done < <(words .system.disabled)
    while read -r unit; do systemctl --global enable "$unit"; done < <(words .user.enabled)
    ;;
  fonts | default-flatpaks | initramfs) ;;
  *)
    echo "no module $type" >&2
    exit 1
    ;;
esac
