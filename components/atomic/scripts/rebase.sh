#!/usr/bin/env bash
# Rebases a Fedora Atomic host to an image digest, boots it, and keeps it only when greenboot says green.
# Environment: AETHER_HOST, AETHER_HOSTNAME, AETHER_IMAGE, AETHER_DIGEST (empty: nothing is done), AETHER_SIGNED (yes, no),
#   AETHER_REBOOT (now, window, never), AETHER_WINDOW, AETHER_CHECKS, AETHER_SSH_CONFIG, AETHER_BOOT_TIMEOUT seconds (default 300).
# Standard output: "BOOTED STAGED" digests, - where none.
# Exit codes: 12 unreachable, 21 wrong host, 22 wrong host key, 34 did not come back, 60 rebase, 61 signature, 62 greenboot red, 63 health.
# shellcheck source=components/scripts/operator.sh
source components/scripts/operator.sh
host_scripts="components/health/scripts/health.sh components/nixos/scripts/host.sh components/atomic/scripts/verdict.sh"

if [[ -z $AETHER_DIGEST ]]; then
  say "stays as it is: $AETHER_IMAGE has no digest yet"
  printf -- '- -\n'
  exit 0
fi
[[ $AETHER_DIGEST == sha256:* ]] || fail 60 "$AETHER_DIGEST is no digest; write sha256:… (a tag may mean another image tomorrow)"
status=0
open_connection "$AETHER_HOST" "${AETHER_WAIT:-20}" || status=$?
((status == 0)) || fail "$status" "$(explain "$status" "$AETHER_HOST")"
name=$(remote "$AETHER_HOST" hostname </dev/null)
[[ $name == "$AETHER_HOSTNAME" ]] || fail 21 "this machine calls itself $name, not $AETHER_HOSTNAME; nothing was changed"

# deployment STATE FIELD: a field of the first deployment that is in STATE (booted, staged; first: whatever its state), - where
# there is none.
deployment() {
  remote "$AETHER_HOST" rpm-ostree status --json </dev/null | python3 -c '
import json, sys
state, field = sys.argv[1:]
found = [item for item in json.load(sys.stdin)["deployments"] if state == "first" or item.get(state)]
print(found[0].get(field) or "-" if found else "-")' "$@"
}
booted() { deployment booted container-image-reference-digest; }
booted_from() { deployment booted container-image-reference; }
staged() { deployment staged container-image-reference-digest; }

rebase() {
  local errors status=0
  say "rebases to $1"
  errors=$(remote "$AETHER_HOST" rpm-ostree rebase "$1" </dev/null 2>&1 >/dev/null) || status=$?
  ((status == 0)) && return
  tail -n 6 <<<"$errors" | sed 's/^/    /' >&2
  case $errors in
    *ignature* | *policy*) fail 61 "the image's signature was not accepted; the host stays on $(booted)" ;;
    *) fail 60 "rpm-ostree rebase failed; the host stays on $(booted)" ;;
  esac
}

# way_back DIGEST: what became of a deployment that is not booted, as far as the host itself says.
way_back() {
  local now order
  now=$(booted) || now=-
  order=$(deployment first container-image-reference-digest) || order=-
  if [[ -z $now || $now == - ]]; then
    echo "the host did not say what it runs: it may be booting again; look at its console, and run this again"
  elif [[ $order == "$1" ]]; then
    echo "the host runs $now, but $1 is still the first to be booted: greenboot did not roll back"
  else
    echo "greenboot found the new deployment red and rolled back; the host runs $now"
  fi
}

# verdict: what is wrong with the boot that runs, on standard output; its exit code is verdict.sh's.
verdict() { printf '%s' "$AETHER_CHECKS" | run_on "$AETHER_HOST" "$host_scripts" "$(own_address "$AETHER_HOST")"; }

# look: the verdict on the boot that runs, in $status and $wrong, and what was booted, in $now; empty where the host does not say.
look() {
  status=0
  wrong=$(verdict) || status=$?
  now=$(booted) || now=
}

# The boot, greenboot's verdict and the health checks; on red the host is back on what it ran before.
prove() {
  local expected=$1 status wrong now
  look
  if [[ -z $now ]]; then
    # greenboot boots a red host again: what counts is what it says then.
    within "$(boot_limit)" reachable "$AETHER_HOST" || true
    look
  fi
  if [[ $now != "$expected" ]]; then
    fail 62 "$(way_back "$expected")${wrong:+ ($wrong)}"
  fi
  ((status == 0)) && return
  say "rolls back: $wrong"
  remote "$AETHER_HOST" rpm-ostree rollback </dev/null >/dev/null
  reboot_and_wait
  ((status == 62)) && fail 62 "greenboot is red on $expected; the host is back on $(booted)"
  fail 63 "not healthy on $expected ($wrong); the host is back on $(booted)"
}

# What ran well until now stays in the boot menu, whatever comes, and is the only one that does. What a maintenance window booted, and
# nobody looked at, may not be that: the pin stays where it is then.
keep_proved() {
  local wrong
  if ! wrong=$(verdict); then
    say "what it runs now is not healthy (${wrong:-no answer}): the deployment that is pinned stays the one before"
    return
  fi
  run_on "$AETHER_HOST" components/atomic/scripts/pin.sh </dev/null >/dev/null ||
    fail 60 "what it runs now could not be pinned; the host stays on $(booted)"
}

# A kernel and an initramfs more on /boot than today: a rebase that runs out of room there stops halfway.
room_on_boot() {
  local free needed
  read -r free needed < <(remote "$AETHER_HOST" "bash -s" <<'HOST'
boot=/boot
[ -d "$boot/ostree" ] || { echo "1 0"; exit; }
free=$(df --output=avail --block-size=1M "$boot" | tail -n 1)
needed=$(du --summarize --apparent-size --block-size=1M "$boot"/ostree/* 2>/dev/null | sort --numeric-sort | tail -n 1 | cut -f 1)
echo "$free ${needed:-0}"
HOST
  ) || fail 12 "$(explain 12 "$AETHER_HOST")"
  ((free >= needed)) || fail 60 "/boot has $free MiB left and a deployment takes $needed: nothing was changed. Fix: ostree admin status, then ostree admin undeploy INDEX or ostree admin pin --unpin INDEX of an old one"
}

# An image of others that has greenboot, and nobody who counts boots, is given what counts them.
arm() {
  printf '%s' "$AETHER_CHECKS" | components/atomic/scripts/arming.sh "$AETHER_HOSTNAME" |
    run_on "$AETHER_HOST" components/atomic/scripts/arm.sh >&2 || say "WARNING: what counts its boots could not be put on it (above)"
}

# Says where greenboot has nobody to count boots.
tell_unarmed() {
  local why
  why=$(run_on "$AETHER_HOST" components/atomic/scripts/armed.sh </dev/null) || why="it did not say whether it is"
  [[ -z $why ]] ||
    say "WARNING: a bad deployment is taken back only by the \`up\` that boots it, while the host answers; it is not armed: $why"
}

reference=docker://$AETHER_IMAGE@$AETHER_DIGEST
wanted=ostree-unverified-registry:$AETHER_IMAGE@$AETHER_DIGEST
[[ $AETHER_SIGNED == yes ]] && wanted=ostree-image-signed:$reference

if [[ $(booted) == "$AETHER_DIGEST" && $(booted_from) == "$wanted" ]]; then
  prove "$AETHER_DIGEST"
  arm
  tell_unarmed
  say "runs it already"
  printf '%s -\n' "$AETHER_DIGEST"
  exit 0
fi

room_on_boot
# A stock system does not have the image's key and policy yet: they come with the first, unverified, boot of it. Never the end state.
if [[ $AETHER_SIGNED == yes ]] && ! remote "$AETHER_HOST" test -e /etc/pki/containers/aether.pub </dev/null; then
  case $AETHER_IMAGE in
    ghcr.io/ublue-os/*) ;; # these bring their own key and policy
    *)
      if [[ $AETHER_REBOOT != now ]]; then
        say "the first rebase boots twice, whatever the reboot setting says: the image brings the key that verifies it"
      fi
      rebase "ostree-unverified-registry:$AETHER_IMAGE@$AETHER_DIGEST"
      reboot_and_wait
      prove "$AETHER_DIGEST"
      ;;
  esac
fi
keep_proved
arm
rebase "$wanted"
case $AETHER_REBOOT in
  now)
    reboot_and_wait
    prove "$AETHER_DIGEST"
    # What was booted before may have been an own image.
    arm
    say "booted $AETHER_DIGEST, green"
    ;;
  window)
    remote "$AETHER_HOST" "systemctl stop aether-reboot.timer 2>/dev/null; systemd-run --quiet --unit=aether-reboot --on-calendar=$(printf '%q' "$AETHER_WINDOW") systemctl reboot" </dev/null
    say "staged; boots it in the maintenance window ($AETHER_WINDOW)"
    ;;
  never) say "staged; the next boot runs it" ;;
esac
tell_unarmed
account deployed "$AETHER_IMAGE@$AETHER_DIGEST"
printf '%s %s\n' "$(booted)" "$(staged)"
