# Images of hosts, by host and format: what `make image` builds. A host has the formats that make sense for the
# machine it is; each is the host's own configuration with as little as possible changed.
{
  inputs,
  systems,
  nixosConfigurations,
}:
let
  inherit (inputs.nixpkgs) lib;

  variant = host: module: (host.extendModules { modules = [ module ]; }).config;
  generated =
    host: format: module:
    (variant host {
      imports = [
        inputs.nixos-generators.nixosModules.${format}
        module
      ];
    }).system.build;

  # Disk with the host's own layout. An image is a file that anybody can copy, so it has no encryption to pretend to:
  # the installer encrypts.
  disk =
    host: format:
    (variant host {
      disko.imageBuilder = {
        name = "${host.config.networking.hostName}-${format}";
        imageFormat = format;
      };
      aether.abilities.disk.encrypt = false;
    }).system.build.diskoImages
    // {
      # The orchestrator asks before it makes what the machine would have encrypted.
      plain = host.config.aether.abilities.disk.enable && host.config.aether.abilities.disk.encrypt;
    };

  vm = host: host.config.system.build.vm;

  byPlatform = {
    metal = host: {
      raw = disk host "raw";
      qcow = disk host "qcow2";
      iso = import ./installer { inherit lib systems host; };
      vm = vm host;
    };
    proxmox-vm =
      host:
      {
        raw = disk host "raw";
        qcow = disk host "qcow2";
        vm = vm host;
      }
      # A backup archive of Proxmox has one disk, laid out by nixpkgs.
      // lib.optionalAttrs (lib.length (host._module.specialArgs.aether.host.disks or [ ]) <= 1) {
        proxmox =
          (generated host "proxmox" {
            aether.disks.layout = "none";
            proxmox.qemuConf.bios = "ovmf";
          }).VMA;
      };
    proxmox-lxc = host: {
      lxc = host.config.system.build.tarball;
      vm = vm host;
    };
    cloud = host: {
      amazon = (generated host "amazon" { }).amazonImage;
      vm = vm host;
    };
  };
in
lib.mapAttrs (_: host: byPlatform.${host.config.aether.platform} host) nixosConfigurations
