# Desktop: the machine at the desk. Its root is empty at every boot; what stays is declared by each ability.
{ aether, ... }:
{
  imports = [
    aether.inputs.nixos-hardware.nixosModules.common-pc
    aether.inputs.nixos-hardware.nixosModules.common-pc-ssd
    aether.inputs.nixos-hardware.nixosModules.common-cpu-amd
    aether.inputs.nixos-hardware.nixosModules.common-gpu-amd
    ../../profiles/dev.nix
  ];
  aether.abilities = {
    ephemeral.enable = true;
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
