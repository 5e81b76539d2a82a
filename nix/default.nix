# The flake's outputs. Hosts are those of the inventory: none is listed here.
inputs:
let
  inherit (inputs.nixpkgs) lib;
  system = "x86_64-linux";
  pkgs = inputs.nixpkgs.legacyPackages.${system};
  aetherLib = import ./lib { root = ../.; };
  systems = import ./lib/system.nix { inherit inputs aetherLib; };
  nixosConfigurations = lib.mapAttrs (_: systems.mkHost) aetherLib.hosts.byAttribute;
in
{
  inherit nixosConfigurations;
  lib = aetherLib;
  nixosModules.default = ./modules;
  homeConfigurations = import ./home {
    inherit inputs lib;
    inherit (aetherLib) inventory;
  };

  packages.${system} = import ./images { inherit inputs systems system; };
  devShells.${system}.default = import ./shells { inherit pkgs; };
  checks.${system} = import ./checks { inherit pkgs nixosConfigurations; };
  apps.${system} = import ./apps.nix { inherit lib nixosConfigurations; };
  formatter.${system} = pkgs.nixfmt-tree.override { nixfmtPackage = pkgs.nixfmt-rs; };
}
