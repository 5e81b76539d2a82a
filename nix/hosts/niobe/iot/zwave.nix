# Z-Wave JS UI: driver, web page and the WebSocket server that Home Assistant uses, in one process, because only one
# program can hold the stick. What it must not forget (keys, server) comes from here; the page cannot change it.
{ config, aether, ... }:
let
  service = aether.services.zwave;
  device = "/dev/zwave";
  unit = "dev-zwave.device";
  placeholder = name: config.sops.placeholder."zwave-${name}";
  keys = [
    "s0-legacy"
    "s2-unauthenticated"
    "s2-authenticated"
    "s2-access-control"
    "lr-s2-authenticated"
    "lr-s2-access-control"
    "session-secret"
  ];
  restart = [ "zwave-js-ui.service" ];
in
{
  services.zwave-js-ui = {
    enable = true;
    serialPort = device;
    settings = {
      HOST = "0.0.0.0";
      PORT = toString service.port;
      TZ = config.time.timeZone;
      # The gateway, which asks who it is.
      TRUST_PROXY = aether.inventory.address config.aether.web.gateway;
      ZWAVE_PORT = device;
      ZWAVE_EXTERNAL_SETTINGS = "%d/settings.json";
    };
  };

  # https://zwave-js.github.io/zwave-js-ui/#/usage/setup, External Settings Management.
  sops.templates."zwave-settings.json" = {
    content = builtins.toJSON {
      logEnabled = true;
      logLevel = "info";
      # The journal keeps it.
      logToFile = false;
      rf.region = 0;
      securityKeys = {
        S0_Legacy = placeholder "s0-legacy";
        S2_Unauthenticated = placeholder "s2-unauthenticated";
        S2_Authenticated = placeholder "s2-authenticated";
        S2_AccessControl = placeholder "s2-access-control";
      };
      securityKeysLongRange = {
        S2_Authenticated = placeholder "lr-s2-authenticated";
        S2_AccessControl = placeholder "lr-s2-access-control";
      };
      enableStatistics = false;
      serverEnabled = true;
      serverPort = 3000;
      # It opens every lock in the house and asks for no password: loopback only.
      serverHost = "127.0.0.1";
      serverServiceDiscoveryDisabled = true;
    };
    restartUnits = restart;
  };
  sops.templates."zwave.env" = {
    content = "SESSION_SECRET=${placeholder "session-secret"}\n";
    restartUnits = restart;
  };
  aether.secrets = builtins.listToAttrs (
    map (name: {
      name = "zwave-${name}";
      value = { };
    }) keys
  );

  systemd.services.zwave-js-ui = {
    bindsTo = [ unit ];
    after = [ unit ];
    # Back when the stick is plugged in again.
    wantedBy = [ unit ];
    serviceConfig = {
      LoadCredential = "settings.json:${config.sops.templates."zwave-settings.json".path}";
      EnvironmentFile = config.sops.templates."zwave.env".path;
      MountAPIVFS = true;
      Restart = "on-failure";
      RestartSec = 5;
    };
  };

  aether.backup.paths = [ "/var/lib/private/zwave-js-ui" ];
}
