#!/bin/bash
# /init of the test machine's live medium: the kernel's file systems, modules, udev, and then /payload/run, whose output
# goes to the second serial port. Switches the machine off at the end.
export PATH=/usr/sbin:/usr/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm /run/udev /run/lock
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
[ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd
if [ -d /sys/firmware/efi ]; then
  modprobe efivarfs
  mount -t efivarfs efivarfs /sys/firmware/efi/efivars
fi
/usr/lib/systemd/systemd-udevd --daemon
udevadm trigger --type=subsystems --action=add
udevadm trigger --type=devices --action=add
for module in dm-crypt btrfs vfat nls_cp437 nls_ascii algif_skcipher; do modprobe "$module"; done
udevadm settle --timeout 60
hostname machine
# What Debian makes when a package is configured, not when it is unpacked.
ln -s gawk /usr/bin/awk
echo "root:x:0:0:root:/root:/bin/bash" >/etc/passwd
# The firmware has left its own codes on that line.
echo >/dev/ttyS1
/payload/run </dev/null >/dev/ttyS1 2>&1
echo "== exit $?" >/dev/ttyS1
sync
echo o >/proc/sysrq-trigger
sleep infinity
