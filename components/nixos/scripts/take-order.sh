#!/usr/bin/env bash
# Takes the order that the operator left for this host where the fleet's cache is served (ops/orders), by the protocol of a deployment: a
# trial, its health, a confirmation. Part of the host's system, whose timer starts it as root (nix/modules/orders.nix).
# Arguments: name of the host, URL of the cache, address for its health checks, public keys of the fleet as Nix writes them.
# State, in /var/lib/aether: `ordered`, the time of the newest order that was dealt with, under which no other is taken; `order`, what
# became of it, and `order-refused`, of one that was no order for this host (JSON, for status.sh).
# Exit codes: 2 refused; 30, 31, 32, 33, 37 of the protocol. What another day may bring ends with 0: no network, no cache, a deployment
# at work.
set -euo pipefail
name=$1 url=${2%/} address=$3
keys=("${@:4}")
scripts=$(dirname "$(readlink -f "$0")")
state=/var/lib/aether
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$state"
umask 022
# From which address, for the host's account: nobody's.
export SSH_CONNECTION=-

say() { printf '%s\n' "$*" >&2; }

# note FILE OUTCOME [WHY]
note() {
  local why=${3:-}
  why=${why//[\"\\]/}
  why=${why//[[:cntrl:]]/ }
  say "the order of ${field[at]:-an unknown time}: $2${why:+: $why}"
  printf '{"at": %s, "outcome": "%s", "why": "%s", "closure": "%s", "desired": "%s", "ended": %s}\n' \
    "${field[at]:-0}" "$2" "$why" "${field[closure]:-}" "${field[desired]:-}" "$(date +%s)" >"$state/$1.new"
  mv "$state/$1.new" "$state/$1"
}

# refuse WHY: somebody has to look at what is served there, so the unit fails.
refuse() {
  note order-refused refused "$1"
  exit 2
}

# dealt_with AT: neither that order nor one of before is taken again.
dealt_with() {
  printf '%s\n' "$1" >"$state/ordered.new"
  mv "$state/ordered.new" "$state/ordered"
}

# fetch FILE: 1: the cache does not answer; 3: nothing is ordered.
fetch() {
  local status
  status=$(curl -sS -L -m 20 --max-filesize 65536 -o "$1" -w '%{http_code}' "$url/orders/$name" 2>"$work/error") || return 1
  case $status in
    200) ;;
    # S3 says so to who may not list.
    403 | 404) return 3 ;;
    *) return 1 ;;
  esac
}

# verified FILE: one of the fleet's keys has signed it (ssh-keygen -Y); the text is then in $work/text.
verified() {
  local key public
  : >"$work/signers"
  for key in "${keys[@]}"; do
    # As OpenSSH writes a key: the length of its kind's name, the name, the length of the key, the key.
    public=$({
      printf '\0\0\0\13ssh-ed25519\0\0\0 '
      base64 -d <<<"${key#*:}"
    } | base64 -w 0)
    printf 'fleet namespaces="aether-order" ssh-ed25519 %s\n' "$public" >>"$work/signers"
  done
  sed '/^-----BEGIN SSH SIGNATURE-----$/,$d' "$1" >"$work/text"
  sed -n '/^-----BEGIN SSH SIGNATURE-----$/,$p' "$1" >"$work/signature"
  ssh-keygen -Y verify -f "$work/signers" -I fleet -n aether-order -s "$work/signature" <"$work/text" >/dev/null 2>&1
}

declare -A field=() like=(
  [host]='[a-zA-Z0-9-]{1,63}'
  [closure]='-|/nix/store/[0-9a-z]{32}-[a-zA-Z0-9+._?=-]+'
  [desired]='-|/nix/store/[0-9a-z]{32}-[a-zA-Z0-9+._?=-]+|source:[0-9a-f]{1,64}'
  [by]='[a-zA-Z0-9@._-]{1,200}'
  [revision]='-|[0-9a-f]{4,64}[+]?'
  [at]='[1-9][0-9]{0,11}'
  [expires]='[1-9][0-9]{0,11}'
  [window]='[1-9][0-9]{0,4}'
  [settle]='[0-9]{1,5}'
  [may_fail]='[^[:cntrl:]]*'
)

# parse: the fields of $work/text.
parse() {
  local key value
  [[ $(head -n 1 "$work/text") == 'aether order 1' ]] || refuse "it is of another version of Aether than this system"
  while read -r key value; do
    [[ -z $key ]] || field[$key]=$value
  done < <(tail -n +2 "$work/text")
  for key in "${!like[@]}"; do
    if [[ ! ${field[$key]-} =~ ^(${like[$key]})$ ]]; then
      field=()
      refuse "it has no $key that could be one"
    fi
  done
}

# older_than_a_deployment: what an operator did here since wins. (An order that was taken did not: a newer one may have come meanwhile.)
older_than_a_deployment() {
  local done_at
  done_at=$(sed -nE '/"id": "[^"]*\+order:/d; s/^\{"at": ([0-9]+),.*/\1/p' "$state/deployments.jsonl" 2>/dev/null | tail -n 1) || true
  ((field[at] <= ${done_at:-0}))
}

# superseded: the same, and its end.
superseded() {
  dealt_with "${field[at]}"
  note order superseded "this host was deployed since"
  exit 0
}

# step NAME ARG…: a step of the protocol, in a shell of its own, which ends where the step does.
step() {
  # shellcheck disable=SC2016 # the inner shell expands it
  bash -c 'source "$0/../../health/scripts/health.sh"; source "$0/host.sh"; source "$0/$1.sh" "${@:2}"' "$scripts" "$@"
}

# take_back: the system before, now, and not when the timer finds that nobody confirmed.
take_back() {
  # shellcheck disable=SC2016 # the inner shell expands it
  bash -c 'source "$0/host.sh"; disarm; bash "$run/revert"' "$scripts"
}

# cache_answers SECONDS: within that time, with an order of the fleet's: the network that the new system leaves leads to the next one.
cache_answers() {
  local began now
  read -r began _ </proc/uptime
  while :; do
    if fetch "$work/again" && verified "$work/again"; then return 0; fi
    read -r now _ </proc/uptime
    ((${now%%.*} < ${began%%.*} + $1)) || return 1
    sleep 1
  done
}

# why: the last reason that a step gave on standard error, which goes on to the journal.
why() {
  cat "$work/said" >&2
  sed -n 's/^.*FAILED: //p' "$work/said" | tail -n 1
}

status=0
fetch "$work/order" || status=$?
case $status in
  1) say "the cache at $url does not answer ($(tail -n 1 "$work/error")); asked again later" ;;&
  1 | 3) exit 0 ;;
esac
verified "$work/order" || refuse "the fleet's key has not signed it"
parse
[[ ${field[host]} == "$name" ]] || refuse "it is for ${field[host]}"
last=$(cat "$state/ordered" 2>/dev/null || echo 0)
((field[at] >= last)) || refuse "it is older than one that this host has seen"
rm -f "$state/order-refused"
((field[at] > last)) || exit 0
at=$(date +%s)
if ((field[at] > at + 300)); then
  say "the order is of a time that has not come yet here; asked again later"
  exit 0
fi
if ((field[expires] <= at)); then
  dealt_with "${field[at]}"
  note order expired
  exit 0
fi
if [[ ${field[closure]} == - ]]; then
  # What was ordered is withdrawn.
  dealt_with "${field[at]}"
  exit 0
fi
if older_than_a_deployment; then superseded; fi

target=${field[closure]} id="${field[by]}+order:${field[at]}"
say "takes $target from the cache, as ${field[by]} ordered"
if ! "$scripts/pull.sh" "$target" "$url"; then
  note order waiting "its system could not be taken from the cache"
  exit 0
fi
if older_than_a_deployment; then superseded; fi
# Before it is tried: what takes the machine down in mid-trial is not tried again after each boot.
dealt_with "${field[at]}"
note order begun
checks=/run/current-system/etc/aether/checks
[[ ! -e $target/etc/aether/checks ]] || checks=$target/etc/aether/checks
outcome=$(step activate "$name" "$target" "${field[window]}" "$id" "$address" "${field[settle]}" "${field[may_fail]}" \
  <"$checks" 2>"$work/said") || status=$?
reason=$(why)
case $status in
  0) ;;
  20)
    dealt_with "$last"
    note order waiting "$reason"
    exit 0
    ;;
  30 | 31 | 37)
    outcome=reverted
    [[ $reason != 'runs the wanted system already'* ]] || outcome=failed
    note order "$outcome" "$reason"
    exit "$status"
    ;;
  *)
    note order failed "$reason"
    exit "$status"
    ;;
esac
if [[ $outcome == boot ]]; then
  # Who carries the machine reboots it.
  note order boot "it cannot be switched to, only booted: the next up that finds this host does that"
  exit 0
fi
if [[ $outcome == pending ]] && ! cache_answers "$((field[window] / 2))"; then
  take_back || status=$?
  note order reverted "the cache did not answer any more after the switch$( ((status == 0)) || echo ', and the way back failed too')"
  exit 32
fi
step confirm "$name" "$target" "$id" "${field[desired]}" ask "${field[revision]}" </dev/null >/dev/null 2>"$work/said" || status=$?
reason=$(why)
if ((status != 0)); then
  note order failed "$reason"
  exit "$status"
fi
note order taken
