# The flake's outputs. Hosts are those of the inventory: none is listed here.
inputs:
let
  inherit (inputs.nixpkgs) lib;
  system = "x86_64-linux";
  pkgs = inputs.nixpkgs.legacyPackages.${system};
  aetherLib = import ./lib { root = ../.; };
  systems = import ./lib/system.nix { inherit inputs aetherLib; };
in
{
  lib = aetherLib;
  nixosModules.default = ./modules;
  nixosConfigurations = lib.mapAttrs (_: systems.mkHost) aetherLib.hosts.byAttribute;
}
