# One LUKS2 container for both systems: each its own subvolumes, homes and shared data in common. Kinoite needs a /boot
# that its boot loader can read, outside the container.
{ config, ... }:
{
  aether.features = {
    disk = {
      enable = true;
      espMount = "/boot/efi";
      partitions.kinoite-boot = {
        priority = 2;
        # Extended boot loader partitions are for systemd-boot; this one is Fedora's alone.
        type = "8300";
        size = "2G";
        content = {
          type = "filesystem";
          format = "ext4";
        };
      };
      subvolumes = {
        "@root" = null;
        "@nixos" = "/";
        "@nix" = "/nix";
        "@home" = "/home";
        "@snapshots" = "/.snapshots";
        "@shared" = "/shared";
      };
      # zram only. A hibernated NixOS must not find the pool changed by Kinoite when it wakes: two systems on one file
      # system exclude hibernation (docs/bifrost/architecture.md).
      swap = 0;
    };
    snapshots = {
      enable = true;
      of = [
        "/"
        "/home"
        "/shared"
      ];
    };
  };
  boot.kernelParams = [ "nohibernate" ];
  # disko makes it root's; what both systems share is the owner's.
  systemd.tmpfiles.rules = [ "d /shared 0750 ${config.aether.users.operator} users -" ];
}
