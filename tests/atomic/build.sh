#!/usr/bin/env bash
# build.sh BUILDER BASE WORK: builds WORK/images and WORK/recipes (folders with a Containerfile) by buildah, without a network, on a small base
# with the folders of BASE (a root directory). A recipe's words go to WORK/out/NAME.log, what it made of /etc, /usr and /nix to NAME.tar.
# Runs in mount and network namespaces of its own; what it writes beside WORK/out is in memory.
set -euo pipefail
builder=$1 base=$2 work=$3

mount --make-rprivate /
mount -t tmpfs none "$work/memory"
root=$work/memory/root
mkdir "$root" "$work/memory/upper" "$work/memory/scratch"
mount -t overlay -o "lowerdir=$builder,upperdir=$work/memory/upper,workdir=$work/memory/scratch" overlay "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
for folder in run tmp var srv; do
  mkdir -p "$root/$folder"
  mount -t tmpfs none "$root/$folder"
done
mkdir "$root/var/tmp" "$root/srv/work" "$root/srv/base"
mount --bind "$work" "$root/srv/work"
mount --bind "$base" "$root/srv/base"
echo 'root:x:0:0::/root:/bin/bash' >"$root/etc/passwd"
echo 'root:x:0:' >"$root/etc/group"

in_builder() { chroot "$root" /usr/bin/env -i PATH=/usr/bin:/usr/sbin HOME=/root "$@"; }
build() { # build TAG FILE CONTEXT
  in_builder buildah build --isolation chroot --pull=never --ulimit nofile=1024:4096 --ulimit nproc=1024:4096 --quiet \
    --tag "$1" --file "$2" "${@:4}" "$3"
}

build localhost/base /srv/work/base/Containerfile /srv/base --ignorefile /srv/work/base/ignore
for image in "$work"/images/*/; do
  name=$(basename "$image")
  build "localhost/$name" "/srv/work/images/$name/Containerfile" "/srv/work/images/$name"
done
for recipe in "$work"/recipes/*/; do
  name=$(basename "$recipe")
  if build "localhost/$name" "/srv/work/recipes/$name/Containerfile" /srv/work/context >"$work/out/$name.log" 2>&1; then
    place=$(in_builder buildah mount "$(in_builder buildah from --pull=never "localhost/$name")")
    tar -C "$root$place" -cf "$work/out/$name.tar" etc nix usr/lib/systemd usr/lib/greenboot usr/libexec/aether usr/share/aether
  fi
done
