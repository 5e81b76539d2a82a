# This file is created automatically and should not be modified.
# Please change the option ‘systemd.tmpfiles.rules’ instead.

L+ /var/lib/qemu/vhost-user - - - - /nix/store/eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee-vhost-user/share/qemu/vhost-user
L+ /var/lib/qemu/firmware - - - - /nix/store/eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee-qemu-ovmf-metadata
d /run/keys 0750 root 96
z /run/keys 0750 root 96
d  /run/lock                          0755 root root - -
d  /var/db                            0755 root root - -
L  /var/lock                          -    -    -    - ../run/lock
R! /etc/group.lock                    -    -    -    - -
R! /etc/passwd.lock                   -    -    -    - -
R! /etc/shadow.lock                   -    -    -    - -
d /run/binfmt 0755 -
D /var/empty 0555 root root -
h /var/empty - - - - +i
d /nix/var/nix/gcroots -
L+ /nix/var/nix/gcroots/current-system - - - - /run/current-system
d  /nix/var                           0755 root root - -
L+ /nix/var/nix/gcroots/booted-system 0755 root root - /run/booted-system
R! /nix/var/nix/gcroots/tmp           -    -    -    - -
R! /nix/var/nix/temproots             -    -    -    - -
d /run/avahi-daemon - avahi avahi -
d /var/lib/udisks2 0755 root root -
d /var/lib/btrbk 0750 btrbk btrbk
d /var/lib/btrbk/.ssh 0700 btrbk btrbk
f /var/lib/btrbk/.ssh/config 0700 btrbk btrbk - StrictHostKeyChecking=accept-new
d /lib64 0755 root root - -
L+ /lib64/ld-linux-x86-64.so.2 - - - - /nix/store/eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee-nix-ld-2.0.6/libexec/nix-ld
r /lib/ld-linux.so.2 - - - - -
