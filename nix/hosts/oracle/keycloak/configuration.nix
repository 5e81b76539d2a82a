# Brings the realm into Keycloak, and again whenever it or a secret in it changes. keycloak-config-cli compares with
# what is there and changes only the difference: clients that are no longer declared go, people stay.
{
  config,
  lib,
  pkgs,
  aether,
  ...
}:
let
  realm = import ./realm.nix {
    inherit
      config
      lib
      aether
      ;
  };
  # The client secrets that realm.nix asks for.
  confidential = lib.filterAttrs (_: client: !client.public) config.aether.keycloak.clients;
  secretNames = map (id: "oidc-${id}") (lib.attrNames confidential);
in
{
  options.aether.keycloak.clients = lib.mkOption {
    type = lib.types.attrsOf lib.types.attrs;
    readOnly = true;
    default = import ./clients-of-hosts.nix { inherit lib aether; };
    defaultText = lib.literalMD "`clients` in every host's exports.nix";
    description = "OIDC clients of the realm.";
  };

  config = {
    aether.secrets = lib.genAttrs (secretNames ++ [ "operator-initial-password" ]) (_: { });

    sops.templates = {
      "homelab-realm.json" = {
        content = builtins.toJSON realm;
        restartUnits = [ "keycloak-configuration.service" ];
      };
      "keycloak-configuration.env".content = ''
        KEYCLOAK_CLIENTSECRET=${config.sops.placeholder.configuration-client-secret}
      '';
    };

    systemd.services.keycloak-configuration = {
      description = "Bring realm homelab into Keycloak";
      wantedBy = [ "multi-user.target" ];
      requires = [ "keycloak.service" ];
      after = [
        "keycloak.service"
        "network-online.target"
      ];
      wants = [ "network-online.target" ];
      # The secrets' values are in the rendered file, this is everything else.
      restartTriggers = [
        (builtins.hashString "sha256" config.sops.templates."homelab-realm.json".content)
      ];
      path = [
        pkgs.jre_headless
        pkgs.keycloak-config-cli
      ];
      environment = {
        CA_CERTIFICATE = "${config.aether.certificates.rootFile}";
        KEYCLOAK_URL = "https://${aether.inventory.fqdn aether.name}:${toString config.services.keycloak.settings.https-port}";
        KEYCLOAK_LOGINREALM = "master";
        KEYCLOAK_GRANTTYPE = "client_credentials";
        KEYCLOAK_CLIENTID = "aether-configuration";
        KEYCLOAK_AVAILABILITYCHECK_ENABLED = "true";
        KEYCLOAK_AVAILABILITYCHECK_TIMEOUT = "180s";
        IMPORT_FILES_LOCATIONS = "file:/run/credentials/keycloak-configuration.service/homelab-realm.json";
        # Compared with the realm itself each time: a change made by hand is undone by the next run.
        IMPORT_CACHE_ENABLED = "false";
        IMPORT_MANAGED_CLIENT = "full";
        IMPORT_MANAGED_GROUP = "full";
        IMPORT_MANAGED_ROLE = "full";
        IMPORT_MANAGED_REQUIREDACTION = "no-delete";
        IMPORT_MANAGED_COMPONENT = "no-delete";
        IMPORT_MANAGED_SUBCOMPONENT = "no-delete";
        JAVA_TOOL_OPTIONS = "-Xmx192m";
      };
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "${lib.getExe pkgs.bash} ${./import-realm.sh}";
        LoadCredential = "homelab-realm.json:${config.sops.templates."homelab-realm.json".path}";
        EnvironmentFile = config.sops.templates."keycloak-configuration.env".path;
        DynamicUser = true;
        RuntimeDirectory = "keycloak-configuration";
        Restart = "on-failure";
        RestartSec = 30;
        TimeoutStartSec = "8min";
        CapabilityBoundingSet = "";
        PrivateDevices = true;
        ProtectHome = true;
        ProtectSystem = "strict";
        RestrictNamespaces = true;
        SystemCallArchitectures = "native";
        UMask = "0077";
      };
    };
  };
}
