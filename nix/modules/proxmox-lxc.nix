# A container on Proxmox. nixpkgs' module knows how to boot in one; name and address are ours.
{
  config,
  lib,
  modulesPath,
  aether,
  ...
}:
let
  isLxc = config.aether.platform == "proxmox-lxc";
in
{
  imports = [ (modulesPath + "/virtualisation/proxmox-lxc.nix") ];

  config = lib.mkMerge [
    { proxmoxLXC.enable = isLxc; }
    (lib.mkIf isLxc {
      proxmoxLXC = {
        privileged = !(aether.host.unprivileged or true);
        manageHostName = lib.mkDefault true;
        manageNetwork = lib.mkDefault true;
      };
      networking.useHostResolvConf = false;
      # The kernel is the node's.
      boot.loader.grub.enable = false;
      services.timesyncd.enable = false;
    })
  ];
}
