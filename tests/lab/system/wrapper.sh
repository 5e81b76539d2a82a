#!/bin/bash -e
# bin/switch-to-configuration where nixpkgs' own program is at work: what its makeWrapper sets (switchable-system.nix).
export OUT=@system@
export TOPLEVEL=@system@
export DISTRO_ID=nixos
export INSTALL_BOOTLOADER=@system@/bin/install-boot-loader
export PRE_SWITCH_CHECK=@system@/bin/pre-switch-check
export SYSTEMD=/usr
exec -a "$0" @system@/bin/.switch-to-configuration-wrapped "$@"
