# A machine of its own whose root is empty at every boot: what stays is declared by each feature, on its disk and in its snapshots.
{ lib, ... }:
{
  aether.features = {
    ephemeral.enable = lib.mkDefault true;
    disk = {
      enable = lib.mkDefault true;
      subvolumes = lib.mkDefault {
        "@nix" = "/nix";
        "@persist" = "/persist";
        "@snapshots" = "/.snapshots";
      };
    };
    snapshots = {
      enable = lib.mkDefault true;
      of = lib.mkDefault [ "/persist" ];
    };
  };
}
