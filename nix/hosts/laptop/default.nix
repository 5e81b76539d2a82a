# Laptop: the machine in the bag. As the desktop, with sleep, radio and battery.
{ aether, ... }:
{
  imports = [
    aether.inputs.nixos-hardware.nixosModules.common-pc-laptop
    aether.inputs.nixos-hardware.nixosModules.common-pc-laptop-ssd
    aether.inputs.nixos-hardware.nixosModules.common-cpu-intel
    ../../profiles/dev.nix
    ../../profiles/personal.nix
  ];

  aether.features = {
    ephemeral.enable = true;
    disk = {
      enable = true;
      # The size of its memory (GiB): a battery that runs out in the bag loses nothing.
      swap = 16;
      subvolumes = {
        "@nix" = "/nix";
        "@persist" = "/persist";
        "@snapshots" = "/.snapshots";
      };
    };
    snapshots = {
      enable = true;
      of = [ "/persist" ];
    };
    portable = {
      enable = true;
      hibernateAfter = "2h";
    };
  };
}
