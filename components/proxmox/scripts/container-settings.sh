#!/usr/bin/env bash
# Runs on a Proxmox node: name, memory, network interfaces and nesting of a container, in place. Proxmox plugs them into the running
# one; nesting waits for its next start.
# Argument: VMID.  Standard input, a setting a line: `hostname NAME`, `memory MIB`, `net0 name=eth0,bridge=vmbr0,…`,
# `nesting 1`.
set -euo pipefail
vmid=$1
config=$(pct config "$vmid")
# What the inventory says of an interface; the rest of it (its hardware address, unless that is wanted too) stays.
ours=' name bridge tag ip gw ip6 gw6 mtu firewall '

value() { sed -n "s/^$1: //p" <<<"$config"; }

# parts WORDS: those of NAME=VALUE,… that say something, sorted.
parts() { tr ',' '\n' <<<"$1" | sed '/^$/d; /^firewall=0$/d' | sort; }

# interface OLD WANTED: WANTED with what OLD has beside it.
interface() {
  local part kept=$2
  for part in ${1//,/ }; do
    [[ $ours == *" ${part%%=*} "* || ,$2 == *",${part%%=*}="* ]] || kept+=",$part"
  done
  printf '%s' "$kept"
}

changes=() said=() surplus=() nets=' '
while read -r key wanted; do
  has=$(value "$key")
  case $key in
    net*)
      nets+="$key "
      wanted=$(interface "$has" "$wanted")
      [[ $(parts "$has") == "$(parts "$wanted")" ]] && continue
      ;;
    nesting)
      key=features has=$(value features)
      [[ $wanted == "$(sed -n 's/.*nesting=\([01]\).*/\1/p; t; s/.*/0/p' <<<"$has")" ]] && continue
      wanted=$(parts "$has" | sed '/^nesting=/d' | paste -sd, -)${has:+,}nesting=$wanted
      wanted=${wanted#,}
      ;;
    *) [[ $has == "$wanted" ]] && continue ;;
  esac
  changes+=("--$key" "$wanted")
  said+=("$key: ${has:-none} -> $wanted")
done
while read -r key; do
  # Without any, the interfaces are somebody else's.
  [[ -z $key || $nets == ' ' || $nets == *" $key "* ]] && continue
  surplus+=("$key")
  said+=("$key: is taken away")
done < <(sed -nE 's/^(net[0-9]+): .*/\1/p' <<<"$config")
if ((${#surplus[@]})); then changes+=(--delete "$(IFS=,; printf '%s' "${surplus[*]}")"); fi

((${#changes[@]})) || exit 0
printf "container $vmid: %s\n" "${said[@]}"
pct set "$vmid" "${changes[@]}"
if pct pending "$vmid" | grep -E '^(new|del) ' >/dev/null; then
  printf 'container %s: some of it holds from its next start on: ./aether reboot HOST\n' "$vmid"
fi
