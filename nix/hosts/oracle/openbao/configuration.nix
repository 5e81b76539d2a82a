# What OpenBao holds apart from secrets: mounts, logins, policies, roles. A unit brings it there at every start and
# every change; what is there already stays, policies that are no longer here go.
{
  config,
  lib,
  pkgs,
  aether,
  ...
}:
let
  state = import ./state.nix { inherit config lib aether; };
  credentials = [
    "configuration-password"
    "oidc-client-secret"
    "pki-ca-key"
    "snapshot-password"
  ];
  databases = lib.attrValues state.databases;
  # Known to the database's host, too.
  passwords = map (database: database.password) databases;
  configure = "${lib.getExe pkgs.bash} ${./configure.sh} /etc/openbao/state.json";
  # What both units have: a folder by their NAME, and CREDENTIALS.
  unit = name: credentials: {
    wantedBy = [ "multi-user.target" ];
    restartTriggers = [ config.environment.etc."openbao/state.json".source ];
    path = [
      config.services.openbao.package
      pkgs.jq
      pkgs.coreutils
    ];
    environment = {
      BAO_ADDR = "http://${config.services.openbao.settings.listener.local.address}";
      HOME = "/run/openbao-${name}";
    };
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
      LoadCredential = map (name: "${name}:${config.sops.secrets.${name}.path}") credentials;
      RuntimeDirectory = "openbao-${name}";
      DynamicUser = true;
      Restart = "on-failure";
      RestartSec = 15;
      ProtectSystem = "strict";
      ProtectHome = true;
      PrivateDevices = true;
      CapabilityBoundingSet = "";
      SystemCallArchitectures = "native";
      UMask = "0077";
    };
  };
in
{
  aether.secrets =
    lib.genAttrs credentials (_: {
      restartUnits = [ "openbao-configuration.service" ];
    })
    // lib.genAttrs passwords (_: {
      # Read once, at the first contact: a change restarts nothing.
      file = "databases.yaml";
    });

  environment.etc."openbao/state.json".text = builtins.toJSON state;
  # Whom databases are known by.
  environment.etc."openbao/root_ca.crt".source = config.aether.certificates.rootFile;

  systemd.services.openbao-configuration = lib.recursiveUpdate (unit "configuration" credentials) {
    description = "Bring OpenBao to what the repository says";
    # With it: a restart of the server is followed by a look at what is in it.
    bindsTo = [ "openbao.service" ];
    after = [ "openbao.service" ];
    serviceConfig.ExecStart = configure;
  };

  # Of its own, because their hosts may not be there yet, or not today.
  systemd.services.openbao-databases = lib.mkIf (databases != [ ]) (
    lib.recursiveUpdate (unit "databases" ([ "configuration-password" ] ++ passwords)) {
      description = "Bring OpenBao's databases to what the repository says";
      requires = [ "openbao.service" ];
      after = [ "openbao-configuration.service" ];
      startLimitIntervalSec = 0;
      serviceConfig.ExecStart = "${configure} databases";
      serviceConfig.RestartSec = 60;
    }
  );
  aether.waitsFor = lib.mkIf (databases != [ ]) {
    "openbao-databases.service" = map (database: database.host) databases;
  };
}
