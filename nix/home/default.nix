# homeConfigurations: one for each host of the inventory with a `home` table, under the name that the table gives (mitso@desktop).
# Containers to work in need none: they share their host's home and its /nix (ansible/roles/toolbox).
{
  inputs,
  lib,
  inventory,
  ...
}:
let
  owners = lib.filterAttrs (_: host: host ? home) inventory.hosts;

  # AWS names its ARM instances with a g behind the generation: t4g, m7g, c7gn.
  isArm = host: builtins.match "[a-z]+[0-9]+g[a-z]*\\..*" (host.instance_type or "") != null;

  configuration =
    name: host:
    inputs.home-manager.lib.homeManagerConfiguration {
      pkgs = inputs.nixpkgs.legacyPackages.${if isArm host then "aarch64-linux" else "x86_64-linux"};
      extraSpecialArgs.aether = {
        inherit name host inventory;
        site = inventory.siteOf name;
      };
      modules = [ ./home.nix ];
    };
in
lib.mapAttrs' (
  name: host: lib.nameValuePair host.home.configuration (configuration name host)
) owners
