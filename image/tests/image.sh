#!/usr/bin/env bash
# What a built image must hold; runs inside it. Argument: the image's name.
set -uo pipefail

image=$1
failed=0

holds() {
  local what=$1
  shift
  if "$@" >/dev/null 2>&1; then
    echo "ok: $what"
  else
    echo "FAILED: $what" >&2
    failed=1
  fi
}

for package in greenboot podman toolbox distrobox qemu-kvm libvirt-daemon-driver-qemu chezmoi nix nix-daemon stow syncthing cri-tools waydroid \
  openbox lxpanel rofi feh obconf; do
  holds "$package is installed" rpm -q "$package"
done
for unit in aether-boot-counting.service greenboot-healthcheck.service greenboot-set-rollback-trigger.service nix-daemon.socket nix.mount podman.socket sshd.service virtqemud.socket; do
  holds "$unit is enabled" systemctl --root=/ is-enabled "$unit"
done
holds 'the login screen offers Openbox' grep -q '^Exec=.*openbox-session' /usr/share/xsessions/openbox.desktop
holds 'the session starts its panel' grep -qx 'lxpanel &' /etc/xdg/openbox/autostart
holds 'there is an X server for it' test -x /usr/bin/X
holds 'there is what an X session is started by' test -x /etc/X11/xinit/Xsession
holds '/nix is there' test -d /nix
holds 'the policy is JSON' jq -e . /etc/containers/policy.json
holds 'the policy rejects by default' jq -e '.default == [{"type": "reject"}]' /etc/containers/policy.json
holds 'the key of the policy is there' test -s /etc/pki/containers/aether.pub
holds 'signatures are looked for beside the image' grep -q 'use-sigstore-attachments: true' /etc/containers/registries.d/aether.yaml
holds 'SELinux enforces' grep -qx 'SELINUX=enforcing' /etc/selinux/config
holds "greenboot's check runs" test -x /usr/lib/greenboot/check/required.d/50-aether.sh
holds 'what counts boots runs' test -x /usr/libexec/aether/boot-counting
holds 'greenboot waits for it' grep -q '^ConditionPathExists=/run/aether/armed$' /usr/lib/systemd/system/greenboot-healthcheck.service.d/20-aether.conf
holds "GRUB's variables can be changed" test -x /usr/bin/grub2-editenv
holds 'the justfile is valid' just --justfile /usr/share/bluebuild/justfiles/aether.just --list
if [[ $image == *-nvidia ]]; then
  holds 'the NVIDIA module is for the kernel' sh -c 'ls /usr/lib/modules/*/extra/nvidia*/nvidia.ko*'
else
  holds 'no NVIDIA driver in the plain image' sh -c '! rpm -q kmod-nvidia'
fi
# The initramfs that was built last: it can boot, and a Surface's type cover works at its prompt. A driver may also be built in.
surface=/usr/lib/dracut/dracut.conf.d/50-surface.conf
holds 'the drivers of the type cover are named' grep -q '^force_drivers+=" pinctrl_' "$surface"
# shellcheck source=/dev/null
read -ra drivers < <(force_drivers='' && . "$surface" && echo "$force_drivers")
for kernel in /usr/lib/modules/*/; do
  lsinitrd "${kernel}initramfs.img" >/tmp/initramfs
  holds "the initramfs of $kernel finds the deployment" grep -q ostree-prepare-root /tmp/initramfs
  holds "the initramfs of $kernel loads the drivers early" grep -q etc/cmdline.d/20-force_drivers.conf /tmp/initramfs
  for driver in "${drivers[@]}"; do
    holds "$driver is in the initramfs of $kernel" grep -Eq "/${driver//_/[-_]}\.ko" /tmp/initramfs "${kernel}modules.builtin"
  done
done
holds 'bootc accepts the image' bootc container lint
exit "$failed"
