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
in
{
  aether.secrets = lib.genAttrs credentials (_: {
    restartUnits = [ "openbao-configuration.service" ];
  });

  environment.etc."openbao/state.json".text = builtins.toJSON state;

  systemd.services.openbao-configuration = {
    description = "Bring OpenBao to what the repository says";
    wantedBy = [ "multi-user.target" ];
    # With it: a restart of the server is followed by a look at what is in it.
    bindsTo = [ "openbao.service" ];
    after = [ "openbao.service" ];
    restartTriggers = [ config.environment.etc."openbao/state.json".source ];
    path = [
      config.services.openbao.package
      pkgs.jq
      pkgs.coreutils
    ];
    environment = {
      BAO_ADDR = "http://${config.services.openbao.settings.listener.local.address}";
      HOME = "/run/openbao-configuration";
    };
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
      ExecStart = "${lib.getExe pkgs.bash} ${./configure.sh} /etc/openbao/state.json";
      LoadCredential = map (name: "${name}:${config.sops.secrets.${name}.path}") credentials;
      RuntimeDirectory = "openbao-configuration";
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
}
