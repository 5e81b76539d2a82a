# Laptop: the machine in the bag. As the desktop, with sleep, radio and battery.
{ aether, ... }:
{
  imports = [
    aether.inputs.nixos-hardware.nixosModules.common-pc-laptop
    aether.inputs.nixos-hardware.nixosModules.common-pc-ssd
    aether.inputs.nixos-hardware.nixosModules.common-cpu-intel
    ../../profiles/dev.nix
  ];
  aether.abilities = {
    ephemeral.enable = true;
    portable.enable = true;
    wireless.enable = true;
    disk = {
      enable = true;
      subvolumes = {
        "@nix" = "/nix";
        "@persist" = "/persist";
      };
    };
  };
}
