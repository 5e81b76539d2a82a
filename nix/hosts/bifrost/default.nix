# Bifrost: the NixOS half of the Surface Pro 8, beside Kinoite in one encrypted pool.
{ aether, ... }:
{
  imports = [
    aether.inputs.nixos-hardware.nixosModules.microsoft-surface-pro-intel
    ../../profiles/dev.nix
  ];
  aether.abilities.wireless.enable = true;
  aether.abilities.portable.enable = true;
  aether.abilities.disk = {
    enable = true;
    espMount = "/boot/efi";
    subvolumes = {
      "@root" = null;
      "@nixos" = "/";
      "@nix" = "/nix";
      "@home" = "/home";
      "@snapshots" = "/.snapshots";
      "@shared" = "/shared";
    };
  };
}
