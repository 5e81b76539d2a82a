#!/usr/bin/env bash
# image_root.sh ROOT WORK: asks image/tests/image.sh in small roots: ROOT's programs (Debian's, with a real rpm, systemctl, jq, just and lsinitrd),
# what WORK/image holds of files, and the packages of WORK/packages.spec, which rpmbuild makes and rpm installs. Each script of WORK/cases
# first spoils such a root of its own; what image.sh then says goes to WORK/out/CASE.log, and its status to CASE.status.
# Runs in a mount namespace of its own; what it writes beside WORK/out is in memory.
set -euo pipefail
programs=$1 work=$2

mount --make-rprivate /
mount -t tmpfs none "$work/memory"

layer() { # layer NAME LOWER…: a root over others, newest first
  local name=$1 root=$work/memory/$1/root
  shift
  mkdir -p "$root" "$work/memory/$name/upper" "$work/memory/$name/scratch"
  mount -t overlay -o "lowerdir=$(IFS=: && echo "$*"),upperdir=$work/memory/$name/upper,workdir=$work/memory/$name/scratch" overlay "$root"
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mkdir -p "$root/tests" "$root/work"
  mount --bind "$work/tests" "$root/tests"
  mount --bind "$work" "$root/work"
}
inside() { chroot "$work/memory/$1/root" /usr/bin/env -i PATH=/usr/bin:/usr/sbin HOME=/root "${@:2}"; }

layer built "$programs"
root=$work/memory/built/root
ln -sf bash "$root/usr/bin/sh"
echo 'root:x:0:0::/root:/bin/bash' >"$root/etc/passwd"
echo 'root:x:0:' >"$root/etc/group"
inside built rpmbuild --quiet -bb --define '_topdir /tmp/build' --define '_build_id_links none' /work/packages.spec >"$work/out/rpmbuild.log" 2>&1
inside built sh -c 'cd /tmp/build/RPMS/noarch && ls | grep -v ^kmod-nvidia | xargs rpm --install --nodeps --nosignature' >>"$work/out/rpmbuild.log" 2>&1
mv "$root"/tmp/build/RPMS/noarch/kmod-nvidia-*.rpm "$work/out/kmod-nvidia.rpm"
rm -r "$root/tmp/build"
cp -r "$work/image/." "$root/"
chmod 0755 "$root"/usr/libexec/aether/* "$root"/usr/lib/greenboot/check/required.d/*
inside built sh -e /work/make.sh
for case in "$work"/cases/*; do
  name=$(basename "$case")
  layer "$name" "$work/memory/built/upper" "$programs"
  inside "$name" sh -e "/work/cases/$name"
  status=0
  inside "$name" bash /tests/image.sh aether-kinoite >"$work/out/$name.log" 2>&1 || status=$?
  echo "$status" >"$work/out/$name.status"
done
