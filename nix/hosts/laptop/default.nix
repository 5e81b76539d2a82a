# Laptop: the machine in the bag. As the desktop, with sleep, radio and battery.
{ aether, ... }:
{
  imports = [
    aether.inputs.nixos-hardware.nixosModules.common-pc-laptop
    aether.inputs.nixos-hardware.nixosModules.common-pc-laptop-ssd
    aether.inputs.nixos-hardware.nixosModules.common-cpu-intel
    ../../profiles/dev.nix
    ../../profiles/empty-root.nix
    ../../profiles/personal.nix
  ];

  aether.features = {
    # The size of its memory (GiB): a battery that runs out in the bag loses nothing.
    disk.swap = 16;
    portable = {
      enable = true;
      hibernateAfter = "2h";
    };
  };
}
