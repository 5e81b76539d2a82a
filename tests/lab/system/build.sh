# shellcheck shell=sh disable=SC2154,SC2086 # a derivation's attributes are the builder's environment
# Builder of a system: see default.nix.
set -eu
mkdir -p "$out/bin" "$out/etc/systemd/system/multi-user.target.wants" "$out/etc/nix"
ln -s "$kernel" "$out/kernel"
ln -s "$initrd" "$out/initrd"
ln -s /usr "$out/sw"
printf '%s' "$kernelParams" >"$out/kernel-params"
printf '%s' "$inhibitors" >"$out/switch-inhibitors"
printf '%s' "$tries" >"$out/boot-tries"
printf '1' >"$out/init-interface-version"
printf '%s' "$stamp" >"$out/stamp"
printf '%s\n' "$hostname" >"$out/etc/hostname"
printf '%s' "$nixConf" >"$out/etc/nix/nix.conf"
if [ -n "$checks" ]; then
  mkdir -p "$out/etc/aether"
  cp "$checks" "$out/etc/aether/checks"
fi
if [ -n "$entry" ]; then
  cp "$entry" "$out/etc/aether/host"
  chmod 0555 "$out/etc/aether/host"
fi
cp "$activationPath" "$out/activation"
place() { # place FILE TARGET: an executable that knows where its system is
  sed "s|@system@|$out|g" "$1" >"$2"
  chmod 0555 "$2"
}
place "$init" "$out/init"
place "$activate" "$out/activate"
place "$switch" "$out/bin/switch-to-configuration"
place "$loader" "$out/bin/install-boot-loader"
place "$check" "$out/bin/pre-switch-check"
if [ -n "$program" ]; then
  ln -s "$program/switch-to-configuration" "$out/bin/.switch-to-configuration-wrapped"
  ln -s "$manager" "$out/etc/systemd/system.conf"
fi
set -- $unitNames
for file in $unitFiles; do
  cp "$file" "$out/etc/systemd/system/$1"
  shift
done
for unit in $wanted; do ln -s "../$unit" "$out/etc/systemd/system/multi-user.target.wants/$unit"; done
