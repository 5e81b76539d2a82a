#!/usr/bin/env bash
# shellcheck disable=SC2154,SC2034 # run, state, profile, failed and the like are host.sh's
# Runs on the host, behind host.sh: arms the boot loader for one try of a closure that cannot be switched to. What it boots otherwise
# stays what it runs now, so that every boot but the next one leads back.
# Arguments: expected host name, closure, deployment id, seconds that a confirmation may take once SSH answers in the trial boot, seconds
# that SSH may take there: one that has neither is left again (nix/modules/boot-trial.sh).
: "${run:?host.sh comes first}"
expected=$1 target=$2 id=$3 window=$4 limit=$5
expect_host "$expected"
lock "$id"
previous=$(current)
boot=$(bootctl --print-boot-path 2>/dev/null || echo /boot)
[[ -d $boot/loader/entries ]] || fail 38 "has no systemd-boot, whose entry could be tried once. Fix: nixos-rebuild boot there, by hand"
if [[ $(readlink -f "$profile") != "$previous" ]]; then
  # A power cut in a commit, or a hand's work: what runs is the way back, whatever the profile says.
  say "would have booted $(readlink -f "$profile") but runs $previous, which is the boot default again"
  nix-env -p "$profile" --set "$previous" || fail 33 "could not add a generation"
fi
old=$(generation)
nix-env -p "$profile" --set "$target" || fail 33 "could not add a generation"
new=$(generation)
nix-env -p "$profile" --switch-generation "$old" || fail 33 "could not keep generation $old"
# Entries of all generations; the default is the one that runs.
"$previous/bin/switch-to-configuration" boot >"$log" 2>&1 || fail 33 "could not write the boot entries, see $log"
entry=$(grep -lF "init=$target/init" "$boot"/loader/entries/*.conf | sort -V | tail -n 1)
[[ -n $entry ]] || fail 33 "the boot loader has no entry of $target, see $log"
entry=$(basename "$entry" | sed -E 's/\+[0-9]+(-[0-9]+)?\.conf$/.conf/')
printf '%s\n' "$id" "$target" "$previous" "$new" "$window" "$limit" >"$state/boot-trial"
sync
bootctl set-oneshot "$entry" >>"$log" 2>&1 || {
  rm -f "$state/boot-trial"
  fail 38 "bootctl could not arm $entry for one try: $(tail -n 1 "$log")"
}
say "boots $target once; every other boot is of $previous"
