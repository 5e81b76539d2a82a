# `nix run` boots a VM to develop on, `nix run .#HOST` a host, in local QEMU. Its disk is ./HOST.qcow2 and stays.
{
  lib,
  nixosConfigurations,
  localVms,
}:
let
  boot = name: host: {
    type = "app";
    program = lib.getExe host.config.system.build.vm;
    meta.description = "Boot ${name} in a local QEMU VM (disk: ./${name}.qcow2)";
  };
  apps = lib.mapAttrs boot (nixosConfigurations // localVms);
in
apps // { default = apps.local-vm; }
