# Disk layouts by disko, from the inventory's `disks`: the first holds the system, the others are mounted where
# the inventory says. The same layout makes the image (nix/images) and the running host's file systems.
{
  config,
  lib,
  pkgs,
  aether,
  ...
}:
let
  cfg = config.aether.disks;
  disks = aether.host.disks or [ { size = 16; } ];
  data = lib.imap1 (index: disk: disk // { inherit index; }) (lib.tail disks);

  # Proxmox' own name of a SCSI disk: the same on every boot, whatever the order of discovery.
  unit = index: "aether-data-disk-${toString index}";
  device = index: "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_drive-scsi${toString index}";
in
{
  options.aether.disks.layout = lib.mkOption {
    type = lib.types.enum [
      "none"
      "vm"
    ];
    default = if config.aether.platform == "proxmox-vm" then "vm" else "none";
    defaultText = lib.literalMD "`vm` for VMs of Proxmox, else `none`";
    description = "vm: GPT with an ESP and an ext4 root that grows with the disk; data disks whole. none: the host declares its own.";
  };

  config = lib.mkIf (cfg.layout == "vm") {
    disko.devices.disk = {
      system = {
        type = "disk";
        device = device 0;
        imageSize = "4G";
        content = {
          type = "gpt";
          partitions = {
            ESP = {
              type = "EF00";
              size = "512M";
              content = {
                type = "filesystem";
                format = "vfat";
                mountpoint = "/boot";
                # Boot entries and random seed are root's business.
                mountOptions = [ "umask=0077" ];
              };
            };
            root = {
              size = "100%";
              content = {
                type = "filesystem";
                format = "ext4";
                mountpoint = "/";
                mountOptions = [ "noatime" ];
              };
            };
          };
        };
      };
    }
    // lib.listToAttrs (
      map (
        disk:
        lib.nameValuePair "data${toString disk.index}" {
          type = "disk";
          device = device disk.index;
          content = {
            type = "gpt";
            partitions.data = {
              size = "100%";
              content = {
                type = "filesystem";
                format = "ext4";
                mountpoint = disk.mount;
                mountOptions = [
                  "noatime"
                  "nosuid"
                  "nodev"
                  "x-systemd.requires=${unit disk.index}.service"
                  "x-systemd.growfs"
                ];
              };
            };
          };
        }
      ) data
    );

    # The image builder gives vmTools a tree of modules for a kernel; vmTools wants to be told the name of its image.
    disko.imageBuilder.pkgs = pkgs // {
      aggregateModules =
        modules: pkgs.aggregateModules modules // { inherit (config.boot.kernelPackages.kernel) target; };
    };

    # Proxmox gives blank disks. Each is partitioned and formatted once, before it is first mounted, also by a switch.
    systemd.services = lib.listToAttrs (
      map (
        disk:
        lib.nameValuePair (unit disk.index) {
          description = "Data disk of ${disk.mount}: made once, grown with its disk";
          unitConfig.DefaultDependencies = false;
          before = [ "shutdown.target" ];
          conflicts = [ "shutdown.target" ];
          path = [
            pkgs.util-linux
            pkgs.e2fsprogs
            pkgs.gnused
            config.systemd.package
          ];
          serviceConfig = {
            Type = "oneshot";
            RemainAfterExit = true;
            TimeoutStartSec = "10min";
          };
          scriptArgs = "${device disk.index} disk-data${toString disk.index}-data";
          script = builtins.readFile ./data-disk.sh;
        }
      ) data
    );

    # A disk made larger in the inventory is used after the next boot.
    boot.growPartition = lib.mkDefault true;
    fileSystems."/".autoResize = true;
  };
}
