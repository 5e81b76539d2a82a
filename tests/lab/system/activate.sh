#!/bin/sh
# Activation: what the running machine is made of points into this system.
set -e
PATH=/usr/sbin:/usr/bin
touch /etc/NIXOS
ln -sfn @system@/etc /etc/static
if [ -e @system@/bin/.switch-to-configuration-wrapped ]; then
  # nixpkgs' program looks at what is in /etc/systemd/system alone, and that is the system's; the machine's own goes where an
  # administrator's is.
  if [ ! -L /etc/systemd/system ]; then
    rm /usr/local/lib/systemd/system
    mv /etc/systemd/system /usr/local/lib/systemd/system
    ln -s /etc/static/systemd/system /etc/systemd/system
  fi
  ln -sfn /etc/static/systemd/system.conf /etc/systemd/system.conf
fi
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
