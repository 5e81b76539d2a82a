# A NixOS system from a host of the inventory (or a name of its own, for images).
{ inputs, aetherLib }:
let
  inherit (inputs.nixpkgs) lib;
  inherit (aetherLib) inventory hosts;
in
rec {
  # `host` is what the inventory says of it; every module gets it, with the rest of the facts, as argument `aether`.
  arguments = name: host: {
    aether = {
      inherit
        name
        host
        inputs
        inventory
        ;
      inherit (aetherLib) root;
      inherit (inventory)
        hosts
        networks
        nodes
        services
        ;
      site = inventory.siteOf name;
      lib = aetherLib;
    };
  };

  # Our features, and those of the inputs that they are made of.
  modules = [
    ../modules
    inputs.sops-nix.nixosModules.sops
    inputs.disko.nixosModules.disko
    inputs.quadlet-nix.nixosModules.quadlet
    inputs.impermanence.nixosModules.impermanence
    inputs.home-manager.nixosModules.home-manager
  ];

  mkSystem =
    {
      name,
      host,
      module,
    }:
    lib.nixosSystem {
      specialArgs = arguments name host;
      modules = modules ++ [ module ];
    };

  mkHost =
    name:
    mkSystem {
      inherit name;
      host = hosts.nixos.${name};
      module = hosts.file name;
    };
}
