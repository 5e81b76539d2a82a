# Orders: a machine that may be away takes the change that it missed by itself, from where the fleet's cache is served, by the protocol of
# a deployment (docs/rollout.md). Only where the inventory says `roams = true` and has a [cache] that speaks HTTP.
{
  config,
  lib,
  pkgs,
  utils,
  aether,
  ...
}:
let
  inherit (aether.lib) deployUser orders;
  cache = aether.inventory.cacheOf aether.name;
in
{
  options.aether.orders.every = lib.mkOption {
    type = lib.types.str;
    default = "15min";
    description = "How long after it asked for an order the machine asks again, as systemd writes a time.";
  };

  config = lib.mkIf (orders.takes aether.host cache) {
    systemd.services.aether-order = {
      description = "Takes the order that was left for this machine, if there is one";
      wants = [ "network-online.target" ];
      after = [ "network-online.target" ];
      path = [
        config.nix.package
        config.programs.ssh.package
        config.systemd.package
        pkgs.curl
        pkgs.gawk
        pkgs.gnused
        pkgs.util-linux
      ];
      # It is at work while the system is switched, also to one that has it no more.
      restartIfChanged = false;
      unitConfig.X-StopOnRemoval = false;
      serviceConfig = {
        Type = "oneshot";
        ExecStart = utils.escapeSystemdExecArgs (
          orders.command {
            shell = pkgs.runtimeShell;
            inherit (orders) scripts;
            inherit (aether) name;
            inherit cache;
            keys = lib.splitString "\n" (lib.fileContents ../pki/nix-signing.pub);
          }
        );
      };
    };
    systemd.timers.aether-order = {
      description = "Asks for orders";
      wantedBy = [ "timers.target" ];
      timerConfig = {
        OnBootSec = "3min";
        OnUnitInactiveSec = config.aether.orders.every;
        RandomizedDelaySec = "1min";
      };
    };
    # As the account for deployments has them: the order names none.
    environment.etc."aether/checks" = lib.mkIf ((aether.host.ssh_user or "root") != deployUser.name) {
      text = deployUser.checks (aether.host.health or [ ]);
    };
  };
}
