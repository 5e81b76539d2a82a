# What tests and docs/hosts.md want to know of a host, as plain data: `nix eval .#nixosConfigurations.X --apply 'import …'`.
# Texts are what the evaluation gives, before anything is built.
host:
let
  inherit (host) config;
  isText = entry: entry.enable && (entry.text or null) != null;
  keep =
    predicate: set:
    builtins.listToAttrs (
      builtins.concatMap (
        name:
        if predicate set.${name} then
          [
            {
              inherit name;
              value = set.${name};
            }
          ]
        else
          [ ]
      ) (builtins.attrNames set)
    );
  textOf = builtins.mapAttrs (_: entry: entry.text);
  tables = keep (table: table.enable) config.networking.nftables.tables;
in
{
  drvPath = config.system.build.toplevel.drvPath;
  inherit (config) warnings;
  inherit (config.system.nixos) release;
  hostName = config.networking.hostName;
  platform = config.aether.platform;
  hardened = config.aether.security.hardened.enable;
  openPorts = config.aether.firewall.openPorts;
  # Units as systemd will read them; those without text are changed by drop-ins only.
  units = textOf (keep (unit: unit.enable && unit.text != null) config.systemd.units);
  # Those that the inventory's health checks name.
  checkedUnits = config.aether.health.units;
  waitsFor = config.aether.waitsFor;
  unitNames = builtins.attrNames config.systemd.units;
  etc = textOf (keep isText config.environment.etc);
  # Derivations behind files of /etc that are made by a build.
  etcDerivations = builtins.mapAttrs (
    _: entry: builtins.attrNames (builtins.getContext (toString entry.source))
  ) (keep (entry: entry.enable && !isText entry) config.environment.etc);
  nftables = builtins.concatStringsSep "\n" (
    map (
      name: "table ${tables.${name}.family} ${tables.${name}.name} {\n${tables.${name}.content}\n}"
    ) (builtins.attrNames tables)
  );
  quadlets = builtins.filter (name: builtins.match "containers/systemd/.*" name != null) (
    builtins.attrNames config.environment.etc
  );
  secrets = builtins.attrNames config.sops.secrets;
  backup = config.aether.backup.paths;
  fileSystems = builtins.attrNames config.fileSystems;
}
