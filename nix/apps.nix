# `nix run` boots a host in a local QEMU VM; `nix run .#HOST` boots that one. Its disk is ./HOST.qcow2 and stays.
{ lib, nixosConfigurations }:
let
  boot = name: host: {
    type = "app";
    program = lib.getExe host.config.system.build.vm;
    meta.description = "Boot ${name} in a local QEMU VM (disk: ./${name}.qcow2)";
  };
  apps = lib.mapAttrs boot nixosConfigurations;
in
# Cockpit is the smallest host with something to look at: https://localhost:9090.
apps // { default = apps.cockpit; }
