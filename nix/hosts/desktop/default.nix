# Desktop: the machine at the desk. Its root is empty at every boot; what stays is declared by each feature.
{ aether, ... }:
{
  imports = [
    aether.inputs.nixos-hardware.nixosModules.common-pc
    aether.inputs.nixos-hardware.nixosModules.common-pc-ssd
    aether.inputs.nixos-hardware.nixosModules.common-cpu-amd
    aether.inputs.nixos-hardware.nixosModules.common-gpu-amd
    ../../profiles/dev.nix
    ../../profiles/empty-root.nix
    ../../profiles/personal.nix
  ];

  aether.features = {
    # It never hibernates, and zram takes what does not fit: no swap on the disk.
    disk.swap = 0;
    virtualisation.enable = true;
  };
}
