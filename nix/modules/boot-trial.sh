# shellcheck shell=bash
# boot-trial.sh FILE PORT: a boot that a deployment armed for one try, and that nobody confirms, is left again: the next one is of the
# system before. FILE (by arm-boot.sh) has the closure in its second line, the system before in its third, in its fifth the seconds that
# a confirmation may take from when SSH answers on PORT, and in its sixth those that SSH may take; the confirmation removes it.
file=$1 port=$2
lock=${LOCK:-/run/aether/lock}
[ -e "$file" ] || exit 0
mapfile -t trial <"$file"
target=${trial[1]} before=${trial[2]} window=${trial[4]:-300} limit=${trial[5]:-900}
if [ "$(readlink -f "${BOOTED:-/run/booted-system}")" != "$target" ]; then
  echo "the trial of $target is over: this is another system" >&2
  rm -f "$file"
  exit 0
fi

# Seconds since the boot: a time server may set the clock while this waits.
now() {
  local seconds
  read -r seconds _ </proc/uptime
  echo "${seconds%%.*}"
}

answers() {
  # shellcheck disable=SC2016 # the inner shell expands it
  timeout 30 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1" && read -r words <&3 && [[ $words == SSH-* ]]' answers "$port" 2>/dev/null
}

# until_over SECONDS [COMMAND]: until COMMAND succeeds or the time is over; a confirmation ends the script.
until_over() {
  local deadline=$(($(now) + $1))
  shift
  while [ "$(now)" -lt "$deadline" ]; do
    [ -e "$file" ] || exit 0
    if [ $# -gt 0 ] && "$@"; then return 0; fi
    sleep 1
  done
  [ $# -eq 0 ]
}

# Only from then on can anybody confirm: a slow machine has its whole window.
why="SSH did not answer within $limit s of this boot"
if until_over "$limit" answers; then
  echo "SSH answers: waits $window s for the confirmation of $target" >&2
  until_over "$window"
  why="nobody confirmed this boot within $window s after SSH answered"
fi
# A confirmation that is at work is heard out: its health checks have time-outs of their own.
mkdir -p "$(dirname "$lock")"
exec 9>>"$lock"
flock -w 3600 9 || true
[ -e "$file" ] || exit 0
echo "$why: boots back into $before" >&2
rm -f "$file"
sync
systemctl reboot
