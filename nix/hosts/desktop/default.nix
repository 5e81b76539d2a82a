# Desktop: the machine at the desk. Its root is empty at every boot; what stays is declared by each feature.
{ aether, ... }:
{
  imports = [
    aether.inputs.nixos-hardware.nixosModules.common-pc
    aether.inputs.nixos-hardware.nixosModules.common-pc-ssd
    aether.inputs.nixos-hardware.nixosModules.common-cpu-amd
    aether.inputs.nixos-hardware.nixosModules.common-gpu-amd
    ../../profiles/dev.nix
    ../../profiles/personal.nix
  ];

  aether.features = {
    ephemeral.enable = true;
    disk = {
      enable = true;
      # It never hibernates, and zram takes what does not fit: no swap on the disk.
      swap = 0;
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
    virtualisation.enable = true;
  };
}
