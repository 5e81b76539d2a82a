# What kind of machine this is; the inventory's `kind` decides, the platform modules act on it.
{ lib, aether, ... }:
{
  options.aether.platform = lib.mkOption {
    type = lib.types.enum [
      "proxmox-vm"
      "proxmox-lxc"
      "metal"
      "cloud"
    ];
    default =
      {
        nixos-vm = "proxmox-vm";
        nixos-lxc = "proxmox-lxc";
        nixos-metal = "metal";
      }
      .${aether.host.kind} or "cloud";
    defaultText = lib.literalMD "from `kind` in the inventory";
    description = "The machine underneath: decides boot, console, disks and guest agent.";
  };
}
