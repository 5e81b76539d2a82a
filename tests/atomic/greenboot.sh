#!/usr/bin/env bash
# greenboot.sh health-check|set-rollback-trigger: stands in for /usr/libexec/greenboot/greenboot of greenboot-rs 0.16.4, whose program no
# registry has: what it does with GRUB's variables, its own checks, and the order of both.
set -euo pipefail
environment=/boot/grub2/grubenv
value() { grub2-editenv "$environment" list | sed -n "s/^$1=//p"; }

case $1 in
  set-rollback-trigger)
    staged=$(rpm-ostree status | sed -n 's/ (staged)$//p')
    [[ -z $staged ]] || grub2-editenv "$environment" set "greenboot_next_deployment_id=$staged" fallback=1
    ;;
  health-check)
    expected=$(value greenboot_next_deployment_id)
    if [[ -n $expected && $expected != "$(rpm-ostree status | sed -n 's/ (booted)$//p')" ]]; then
      rpm-ostree rollback
      grub2-editenv "$environment" unset greenboot_next_deployment_id
    fi
    grub2-editenv "$environment" unset fallback
    red=''
    for check in /usr/lib/greenboot/check/required.d/*.sh /etc/greenboot/check/required.d/*.sh; do
      [[ ! -e $check ]] || bash "$check" || red=$check
    done
    if [[ -z $red ]]; then
      grub2-editenv "$environment" set boot_success=1
      grub2-editenv "$environment" unset boot_counter
      grub2-editenv "$environment" unset greenboot_next_deployment_id
      exit 0
    fi
    echo "greenboot healthcheck failed: $red"
    grub2-editenv "$environment" set boot_success=0
    counter=$(value boot_counter)
    if [[ -z $counter ]]; then
      grub2-editenv "$environment" set boot_counter=3
      systemctl reboot
    elif ((counter > 0)); then
      systemctl reboot
    elif [[ -n $(value greenboot_next_deployment_id) ]]; then
      rpm-ostree rollback
      grub2-editenv "$environment" unset boot_counter
      grub2-editenv "$environment" unset greenboot_next_deployment_id
      systemctl reboot
    fi
    exit 1
    ;;
esac
