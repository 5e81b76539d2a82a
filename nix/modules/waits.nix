# Units that need what another host serves. They come up when it does: a switch that only they fail is kept
# (components/nixos/scripts/activate.sh), so that a host's first boot is green alone, in every migration phase. What its
# health checks name has to come up at once: then the other host is deployed before.
{
  config,
  lib,
  aether,
  ...
}:
let
  cfg = config.aether.waitsFor;
  facts = name: aether.hosts.${name} or { };
  phase = name: (facts name).phase or 6;
  before =
    seen: name:
    lib.foldl' (
      found: next: if lib.elem next found then found else before (found ++ [ next ]) next
    ) seen ((facts name).depends_on or [ ]);
  there =
    name:
    aether.hosts ? ${name}
    && (
      phase name < phase aether.name
      || (lib.elem name (before [ ] aether.name) && phase name <= phase aether.name)
    );
  late = lib.filterAttrs (_: hosts: hosts != [ ]) (
    lib.mapAttrs (_: lib.filter (name: !there name)) (
      lib.filterAttrs (unit: _: lib.elem unit config.aether.health.units) cfg
    )
  );
in
{
  options.aether.waitsFor = lib.mkOption {
    type = lib.types.attrsOf (lib.types.listOf lib.types.str);
    default = { };
    example = {
      "oauth2-proxy.service" = [ "keycloak" ];
    };
    description = "Hosts that a unit needs to come up, by unit. Until they are there it may fail, and try again.";
  };

  config = {
    environment.etc."aether/waits-for" = lib.mkIf (cfg != { }) {
      text = lib.concatStrings (
        lib.mapAttrsToList (unit: hosts: "${unit} ${lib.concatStringsSep " " hosts}\n") cfg
      );
    };
    assertions = lib.mapAttrsToList (unit: hosts: {
      assertion = false;
      message = "[hosts.${aether.name}] in the inventory checks ${unit}, which needs ${lib.concatStringsSep " and " hosts}: not deployed before it. Write depends_on = [\"${lib.head hosts}\"] with a phase that is not later, or warn = true in the check.";
    }) late;
  };
}
