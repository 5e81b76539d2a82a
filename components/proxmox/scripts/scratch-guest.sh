#!/usr/bin/env bash
# Runs on a Proxmox node: a copy of a guest, made of its backup, beside the guest: under a VMID of its own and on a bridge that leads
# nowhere. What is touched is the copy alone. The first argument says what is wanted:
#   backups NODE VMID                                   the guest's backups on this node, a JSON list a storage
#   room STORAGE                                        KiB that are left on it, and of the node's memory
#   restore TOOL COPY ARCHIVE STORAGE HOST NOTE         makes the copy, stopped and cut off; TOOL is qm or pct
#   place TOOL VMID ARCHIVE STORAGE                     makes the guest itself, where there is none, as it was, and starts it
#   start TOOL COPY                                     starts it
#   ask TOOL COPY ARG…                                  runs the script on standard input in it; prints what that prints
#   remove                                              removes each copy that is noted here, and not to be kept; names those it leaves
#   keep COPY                                           leaves it to its owner
#   good HOST LINE                                      notes that HOST was restored and well
# Copies are noted in $notes before they exist: whoever comes after a killed run finds them there.
set -euo pipefail
what=$1
shift
notes=/var/lib/aether/scratch
tag=aether-scratch
bash=/run/current-system/sw/bin/bash
# The operator may be gone: a copy that is being made is made to its end, or ended by whoever removes it.
trap '' HUP PIPE
mkdir -p "$notes"

say() { printf 'copy %s: %s\n' "$copy" "$*"; }
there() { "$tool" config "$copy" >/dev/null 2>&1; }
bridge() { printf 'scr%s' "$copy"; }

# isolated LINE: a network card's options, on the copy's own bridge; what belongs to the original's network is left out.
isolated() {
  sed -E "s/(^|,)(firewall|tag|trunks|rate|link_down|queues)=[^,]*//g; s/(^|,)bridge=[^,]*//; s/^,//; s/\$/,bridge=$(bridge)/" <<<"$1"
}

# cut_off: name, tags and cards of the copy; what it would share with the original or with the node is taken out of it.
cut_off() {
  local key value gone=() set=()
  while IFS=': ' read -r key value; do
    case $key in
      net[0-9]*) set+=("--$key" "$(isolated "$value")") ;;
      usb[0-9]* | hostpci[0-9]* | virtiofs[0-9]* | parallel[0-9]* | dev[0-9]* | hookscript | args | ivshmem | cicustom | startup) gone+=("$key") ;;
      # A folder or a device of the node, which the original writes to.
      mp[0-9]*) [[ $value != /* ]] || gone+=("$key") ;;
    esac
  done < <("$tool" config "$copy")
  set+=(--onboot 0 --protection 0 --tags "$tag" --description "$note")
  if [[ $tool == pct ]]; then set+=(--hostname "$host-scratch"); else set+=(--name "$host-scratch"); fi
  ((${#gone[@]} == 0)) || "$tool" set "$copy" --delete "$(IFS=,; printf '%s' "${gone[*]}")" >/dev/null
  "$tool" set "$copy" "${set[@]}" >/dev/null
}

# remove_one: ends what makes the copy, and removes it with its disks. A guest that is not marked as one is somebody else's.
remove_one() {
  local pid config
  read -r tool pid _ <"$notes/$copy"
  if [[ $pid != - ]] && kill -0 "$pid" 2>/dev/null && grep -qa "$tag" "/proc/$pid/cmdline" 2>/dev/null; then
    # Its child is what restores, and cleans up behind itself.
    pkill -TERM -P "$pid" 2>/dev/null || true
    for _ in $(seq 600); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
  fi
  if config=$("$tool" config "$copy" 2>/dev/null); then
    if ! grep -q "^tags:.*$tag" <<<"$config" && ! grep -q '^lock: create' <<<"$config"; then
      say "is a guest without the tag $tag: it is left as it is. Is it a copy? $tool destroy $copy"
    else
      "$tool" unlock "$copy" >/dev/null 2>&1 || true
      [[ $("$tool" status "$copy") != *running* ]] || "$tool" stop "$copy" >/dev/null
      "$tool" destroy "$copy" --purge 1 >/dev/null
      say "removed"
    fi
  fi
  ip link delete "$(bridge)" 2>/dev/null || true
  rm -f "$notes/$copy"
}

case $what in
  backups)
    pvesm status --content backup --enabled 1 | awk 'NR > 1 && $3 == "active" { print $1 }' | while read -r storage; do
      pvesh get "/nodes/$1/storage/$storage/content" --content backup --vmid "$2" --output-format json
    done
    ;;
  room)
    pvesm status --enabled 1 | awk -v name="$1" '$1 == name && $3 == "active" { print $6 }'
    sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo
    ;;
  restore)
    tool=$1 copy=$2 archive=$3 storage=$4 host=$5 note=$6
    for other in qm pct; do
      if "$other" config "$copy" >/dev/null 2>&1; then
        say "VMID $copy is taken" >&2
        exit 3
      fi
    done
    printf '%s %s %s\n' "$tool" "$$" "$host" >"$notes/$copy"
    ip link add "$(bridge)" type bridge
    # Nor has the node an address on it.
    ip link set dev "$(bridge)" addrgenmode none
    ip link set dev "$(bridge)" up
    case $tool in
      qm) qmrestore "$archive" "$copy" --storage "$storage" --unique 1 ;;
      pct) pct restore "$copy" "$archive" --storage "$storage" --unique 1 ;;
    esac
    cut_off
    printf '%s - %s\n' "$tool" "$host" >"$notes/$copy"
    ;;
  place)
    tool=$1 vmid=$2 archive=$3 storage=$4
    for other in qm pct; do
      if "$other" config "$vmid" >/dev/null 2>&1; then
        printf 'guest %s is there already\n' "$vmid" >&2
        exit 3
      fi
    done
    # Without --unique: its cards keep their addresses, by which it is known.
    case $tool in
      qm) qmrestore "$archive" "$vmid" --storage "$storage" ;;
      pct) pct restore "$vmid" "$archive" --storage "$storage" ;;
    esac
    "$tool" start "$vmid"
    ;;
  start)
    tool=$1 copy=$2
    "$tool" start "$copy"
    ;;
  ask)
    tool=$1 copy=$2
    shift 2
    # The text comes by standard input, and what it runs reads none of it.
    # shellcheck disable=SC2016 # expands in the guest
    run=("$bash" -c 'text=$(</dev/stdin); exec "$BASH" -c "$text" aether "$@" </dev/null' aether "$@")
    if [[ $tool == qm ]]; then
      qm guest cmd "$copy" ping >/dev/null
      qm guest exec "$copy" --timeout 120 --pass-stdin 1 -- "${run[@]}"
    else
      pct exec "$copy" -- "${run[@]}"
    fi
    ;;
  keep)
    copy=$1
    rm -f "$notes/$copy"
    ;;
  remove)
    for file in "$notes"/*; do
      [[ -e $file ]] || continue
      copy=${file##*/}
      remove_one
    done
    ;;
  good)
    mkdir -p /var/lib/aether/restored
    printf '%s\n' "$2" >"/var/lib/aether/restored/$1.new"
    mv "/var/lib/aether/restored/$1.new" "/var/lib/aether/restored/$1"
    ;;
  *)
    printf 'unknown: %s\n' "$what" >&2
    exit 2
    ;;
esac
