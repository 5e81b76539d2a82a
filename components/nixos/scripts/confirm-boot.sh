#!/usr/bin/env bash
# shellcheck disable=SC2154,SC2034 # run, state, profile, failed and the like are host.sh's
# Runs on the host, behind host.sh, after the boot that arm-boot.sh armed: healthy, it becomes the boot default; otherwise the host
# boots back. Arguments: expected host name, closure, own address, desired closure as the operator calls it, seconds for which the
# checks have to hold, revision of the repository. Standard input: health checks. Standard output: as confirm.sh's.
: "${run:?host.sh comes first}"
expected=$1 target=$2
address=$3 desired=$4 settle=$5 revision=${6:--}
id=$(sed -n 1p "$state/boot-trial" 2>/dev/null || true)
checks=$(mktemp "$run/checks.XXXXXX")
trap 'rm -f "$checks"' EXIT
cat >"$checks"
expect_host "$expected"
# A confirmation whose connection was lost may still be at work.
lock "confirm-boot" 600
if [[ $(booted) != "$target" ]]; then
  rm -f "$state/boot-trial"
  fail 35 "came back on $(booted) instead of $target, which did not boot; nothing else was changed"
fi
if ! check_all "$checks" || ! stay_healthy "$checks" "$settle"; then
  evidence
  say "boots back into $(sed -n 3p "$state/boot-trial" 2>/dev/null)"
  sync
  reboot_soon
  fail 31 "not healthy after the boot: $failed; it boots back into the system before"
fi
commit "$(sed -n 3p "$state/boot-trial" 2>/dev/null)"
rm -f "$state/boot-trial"
record "$desired" "$target"
say "committed as generation $(generation)"
printf '{"closure": "%s", "generation": %s, "reboot": false}\n' "$target" "$(generation)"
