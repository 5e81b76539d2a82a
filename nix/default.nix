# The flake's outputs. Hosts are those of the inventory: none is listed here.
inputs:
let
  inherit (inputs.nixpkgs) lib;
  system = "x86_64-linux";
  pkgs = inputs.nixpkgs.legacyPackages.${system};
  aetherLib = import ./lib { root = ../.; };
  systems = import ./lib/system.nix { inherit inputs aetherLib; };
  # Hosts of an environment (an overlay of the inventory) are of the same sources, and see that environment's facts.
  environments = map (
    environment:
    let
      ours = import ./lib {
        root = ../.;
        inherit environment;
      };
      theirs = import ./lib/system.nix {
        inherit inputs;
        aetherLib = ours;
      };
    in
    lib.mapAttrs (_: theirs.mkHost) ours.hosts.byAttribute
  ) aetherLib.inventory.environments;
  nixosConfigurations = lib.mergeAttrsList (
    environments ++ [ (lib.mapAttrs (_: systems.mkHost) aetherLib.hosts.byAttribute) ]
  );
  localVms = import ./images/local.nix { inherit systems; };
in
{
  inherit nixosConfigurations;
  lib = aetherLib;
  nixosModules.default = ./modules;
  homeConfigurations = import ./home {
    inherit inputs lib;
    inherit (aetherLib) inventory;
  };

  # Texts for the cluster, which has an owner of its own.
  kubernetes = import ./kubernetes { inherit aetherLib; };

  packages.${system} = import ./images { inherit inputs systems system; };
  # legacyPackages, because it is a tree: images.HOST.FORMAT.
  legacyPackages.${system}.images = import ./images/formats.nix {
    inherit
      inputs
      systems
      nixosConfigurations
      localVms
      ;
  };
  # Where an operator may sit; hosts are built for Linux.
  devShells =
    lib.genAttrs
      [
        system
        "aarch64-linux"
        "aarch64-darwin"
      ]
      (each: {
        default = import ./shells { pkgs = inputs.nixpkgs.legacyPackages.${each}; };
      });
  checks.${system} = import ./checks { inherit pkgs nixosConfigurations; };
  apps.${system} = import ./apps.nix { inherit lib nixosConfigurations localVms; };
  formatter.${system} = pkgs.nixfmt-tree.override { nixfmtPackage = pkgs.nixfmt-rs; };
}
