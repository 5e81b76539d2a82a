#!/usr/bin/env bash
# Installs Universal Blue's signed NVIDIA modules and drivers from the image that the recipe copied.
set -euo pipefail

rpms=/tmp/akmods-rpms
installer=$rpms/ublue-os/nvidia-install.sh
kernel=$(rpm -q --queryformat '%{VERSION}-%{RELEASE}.%{ARCH}\n' kernel-core | tail -n 1)

if [ ! -f "$installer" ]; then
  echo "no $installer: the image of the recipe's copy module has moved it" >&2
  exit 1
fi
# A module for another kernel would install and never load.
if ! compgen -G "$rpms/kmods/kmod-nvidia-$kernel-*.rpm" >/dev/null; then
  echo "no NVIDIA module for kernel $kernel in $rpms/kmods: move both digests of the recipe together" >&2
  exit 1
fi

# No 32-bit libraries: games are Flatpaks, which bring their own.
IMAGE_NAME=kinoite MULTILIB=0 bash "$installer"
rm -rf "$rpms"
