# A server at Hetzner Cloud: what the machine underneath is, and where its SSH host key comes from. The image that its snapshot is
# made of has two partitions, by label: ESP and nixos.
{
  config,
  lib,
  pkgs,
  modulesPath,
  aether,
  ...
}:
let
  # Hetzner's ARM servers are cax11, cax21 and so on.
  isArm = lib.hasPrefix "cax" (aether.host.server_type or "");
in
{
  imports = [ (modulesPath + "/profiles/qemu-guest.nix") ];
  nixpkgs.hostPlatform = if isArm then "aarch64-linux" else "x86_64-linux";
  networking.hostName = aether.name;
  networking.useNetworkd = lib.mkDefault true;

  # amd64 servers start by BIOS, arm64 ones by UEFI.
  boot.loader.grub = {
    enable = true;
    device = if isArm then "nodev" else "/dev/sda";
    efiSupport = isArm;
    efiInstallAsRemovable = isArm;
  };
  boot.growPartition = true;
  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
    autoResize = true;
  };
  fileSystems."/boot" = lib.mkIf isArm {
    device = "/dev/disk/by-label/ESP";
    fsType = "vfat";
  };

  # Once, before the first connection: user data has the lines that components/aws/user_data.py writes.
  systemd.services.hetzner-host-key = {
    description = "SSH host key from the server's user data";
    wantedBy = [ "multi-user.target" ];
    before = [
      "sshd.service"
      "sshd-keygen.service"
    ];
    requiredBy = [ "sshd.service" ];
    wants = [ "network-online.target" ];
    after = [ "network-online.target" ];
    unitConfig.ConditionPathExists = "!/etc/ssh/ssh_host_ed25519_key";
    path = [
      pkgs.curl
      pkgs.gnused
      config.programs.ssh.package
    ];
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
      UMask = "0077";
    };
    script = lib.fileContents ./hetzner-host-key.sh;
  };
}
