# Images of hosts, by host and format: what `make image` builds. A host has the formats that make sense for the
# machine it is; each is the host's own configuration with as little as possible changed.
{
  inputs,
  systems,
  nixosConfigurations,
  localVms,
}:
let
  inherit (inputs.nixpkgs) lib;

  variant = host: module: (host.extendModules { modules = [ module ]; }).config;
  # One disk, laid out by nixpkgs, of so many MiB (or of what its content takes).
  generated =
    host: format: attribute: module:
    let
      config = variant host {
        imports = [
          inputs.nixos-generators.nixosModules.${format}
          module
        ];
      };
      inherit (config.virtualisation) diskSize;
    in
    config.system.build.${attribute}
    // {
      # What an image at AWS is called by.
      nixos = config.system.nixos.version;
      sizes = lib.optionalAttrs (lib.isInt diskSize) { disk = "${toString diskSize}M"; };
    };

  # Disk with the host's own layout. An image is a file that anybody can copy, so it has no encryption to pretend to:
  # the installer encrypts.
  disk =
    host: format:
    let
      config = variant host {
        disko.imageBuilder = {
          name = "${host.config.networking.hostName}-${format}";
          imageFormat = format;
        };
        aether.features.disk.encrypt = false;
      };
    in
    config.system.build.diskoImages
    // {
      # What the orchestrator wants to know before it builds: how large each disk is, and (it asks then) whether the
      # machine would have encrypted what is in it.
      sizes = lib.mapAttrs (_: disk: disk.imageSize) config.disko.devices.disk;
      plain = host.config.aether.features.disk.enable && host.config.aether.features.disk.encrypt;
    };

  # The script is this machine's, what it boots may be another architecture's.
  vm = host: host.config.system.build.vm // { guestSystem = host.pkgs.stdenv.hostPlatform.system; };

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
        proxmox = generated host "proxmox" "VMA" {
          aether.disks.layout = "none";
          proxmox.qemuConf.bios = "ovmf";
        };
      };
    proxmox-lxc = host: {
      lxc = host.config.system.build.tarball;
      vm = vm host;
    };
    cloud = host: {
      amazon = generated host "amazon" "amazonImage" { };
      # What `aether image publish` takes.
      raw = generated host "amazon" "amazonImage" { amazonImage.format = "raw"; };
      vm = vm host;
    };
  };
in
lib.mapAttrs (
  _: host:
  byPlatform.${host.config.aether.platform} host
  # Of services, not of the machine.
  // lib.optionalAttrs (host.config.aether.oci != { }) { inherit (host.config.system.build) oci; }
) nixosConfigurations
# Machines that exist as VMs alone.
// lib.mapAttrs (_: host: { vm = vm host; }) localVms
