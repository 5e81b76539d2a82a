#!/bin/sh
# hostname: answers by itself what needs no privilege (imitates hostname(1) of Debian), asks the supervisor for the rest.
case "$*" in
  "" | -f | --fqdn) exec uname -n ;;
  -s | --short) uname -n | cut -d. -f1 ;;
  *) exec /usr/lib/aether-sim/set/hostname "$@" ;;
esac
