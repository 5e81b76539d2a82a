# The inventory's health checks, held against what this configuration really runs: a check of a unit or port that
# does not exist would fail every deploy, so it fails the evaluation instead.
{
  config,
  lib,
  aether,
  ...
}:
let
  checks = aether.host.health or [ ];
  units = lib.catAttrs "unit" checks;
  ports = lib.catAttrs "tcp" checks;
  where = "[hosts.${aether.name}] in the inventory";

  missingUnits = lib.filter (unit: !(config.systemd.units ? ${unit})) units;
  closedPorts = lib.filter (port: !lib.elem port config.aether.firewall.openPorts.tcp) ports;
  similar =
    unit:
    let
      stem = lib.head (lib.splitString "." unit);
    in
    lib.filter (name: lib.hasInfix stem name || lib.hasInfix (lib.removeSuffix ".service" name) stem) (
      lib.attrNames config.systemd.units
    );
  hint =
    unit:
    lib.optionalString (similar unit != [ ]) " (there is ${lib.concatStringsSep ", " (similar unit)})";
in
{
  options.aether.health.units = lib.mkOption {
    type = lib.types.listOf lib.types.str;
    default = lib.catAttrs "unit" (lib.filter (check: !(check.warn or false)) checks);
    defaultText = lib.literalMD "units of the inventory's health checks that do not only warn";
    description = "Units that must be active for a boot to count as good.";
  };

  config = {
    assertions = [
      {
        assertion = missingUnits == [ ];
        message = "Health checks of ${where} name units that ${aether.name} does not have: ${
          lib.concatMapStringsSep ", " (unit: unit + hint unit) missingUnits
        }. Correct the check, or enable the service.";
      }
      {
        assertion = !config.aether.firewall.enable || closedPorts == [ ];
        message = "Health checks of ${where} name TCP ports that ${aether.name} does not open: ${
          lib.concatMapStringsSep ", " toString closedPorts
        }. Correct the check, or add the port to aether.firewall.allow.";
      }
    ];

    # The boot is blessed (systemd-boot's counter) only when the units that matter are up, and left again when they never were.
    systemd.services.aether-health = lib.mkIf (config.boot.loader.systemd-boot.bootCounting.enable) {
      description = "Health of this generation: units of the inventory are active";
      requiredBy = [ "boot-complete.target" ];
      before = [ "boot-complete.target" ];
      after = config.aether.health.units;
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        TimeoutStartSec = "5min";
      };
      path = [ config.systemd.package ];
      environment.BLESS = "${config.systemd.package}/lib/systemd/systemd-bless-boot";
      # A switch must not bless or condemn: only a boot does.
      restartIfChanged = false;
      scriptArgs = lib.escapeShellArgs config.aether.health.units;
      script = builtins.readFile ./health-units.sh;
    };
  };
}
