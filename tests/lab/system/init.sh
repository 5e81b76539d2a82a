#!/bin/sh
# First program of the booted system (init=): as stage 2 of NixOS, it says which system this is and hands over to systemd.
mount -o remount,rw /
ln -sfn @system@ /run/booted-system
@system@/activate
exec /usr/lib/systemd/systemd "$@"
