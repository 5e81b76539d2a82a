#!/bin/sh
# Activation: what the running machine is made of points into this system.
set -e
PATH=/usr/sbin:/usr/bin
touch /etc/NIXOS
ln -sfn @system@/etc /etc/static
mkdir -p /etc/nix
ln -sfn /etc/static/nix/nix.conf /etc/nix/nix.conf
name=$(cat @system@/etc/hostname)
if [ -n "$name" ]; then
  rm -f /etc/hostname
  echo "$name" >/etc/hostname
  hostname "$name"
fi
# The last word, for whoever compares.
sh -e @system@/activation
ln -sfn @system@ /run/current-system
