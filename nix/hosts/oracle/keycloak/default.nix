# Keycloak: who everyone is. PostgreSQL beside it; realm, clients, groups and flows are code (realm.nix), brought in
# at every change by configuration.nix.
{
  config,
  lib,
  aether,
  ...
}:
let
  service = aether.services.auth;
  cert = config.aether.certificates.hosts.keycloak;
  managementPort = config.aether.otel.exporters.keycloak;
in
{
  imports = [
    ../../../profiles/appliance.nix
    ./configuration.nix
    ./database.nix
  ];

  services.keycloak = {
    enable = true;
    settings = {
      # The one name in every token, whichever way a request came.
      hostname = "https://${service.name}";
      # What programs fetch (keys, tokens) is where they asked: the cluster asks by the inside name, whose certificate is
      # always the own authority's.
      hostname-backchannel-dynamic = true;
      http-enabled = false;
      https-port = service.port;
      # Read from where ACME writes, and again every hour: a renewed certificate needs no restart.
      https-certificate-file = cert.cert;
      https-certificate-key-file = cert.key;
      https-certificates-reload-period = "1h";
      https-protocols = "TLSv1.3,TLSv1.2";
      proxy-headers = "xforwarded";
      proxy-trusted-addresses = aether.inventory.address "gateway";
      # One node: nothing to gossip with.
      cache = "local";
      health-enabled = true;
      metrics-enabled = true;
      event-metrics-user-enabled = true;
      http-management-port = managementPort;
      http-management-scheme = "http";
      log-console-output = "json";
    };
  };

  # First start only: the account that configures (a service account), and one for people until they have their own.
  sops.templates."keycloak-bootstrap.env" = {
    content = ''
      KC_BOOTSTRAP_ADMIN_CLIENT_ID=aether-configuration
      KC_BOOTSTRAP_ADMIN_CLIENT_SECRET=${config.sops.placeholder.configuration-client-secret}
      KC_BOOTSTRAP_ADMIN_USERNAME=bootstrap
      KC_BOOTSTRAP_ADMIN_PASSWORD=${config.sops.placeholder.bootstrap-password}
    '';
  };
  aether.secrets = {
    bootstrap-password = { };
    configuration-client-secret = { };
  };

  users.groups.keycloak-tls = { };
  aether.certificates.hosts.keycloak.group = "keycloak-tls";
  systemd.services.keycloak = {
    wants = [ "acme-keycloak.service" ];
    after = [ "acme-keycloak.service" ];
    environment.JAVA_OPTS_KC_HEAP = "-Xms256m -Xmx896m";
    serviceConfig = {
      EnvironmentFile = config.sops.templates."keycloak-bootstrap.env".path;
      SupplementaryGroups = [ "keycloak-tls" ];
      Restart = "on-failure";
      RestartSec = 10;
      # A first start makes its schema: two minutes on a busy node, and systemd's default of 90 s ended it again and again.
      TimeoutStartSec = "10min";
      MemoryMax = "1400M";
      # Port 8443 needs no capability; the module's ambient one is for ports below 1024.
      AmbientCapabilities = lib.mkForce "";
      CapabilityBoundingSet = "";
      LockPersonality = true;
      NoNewPrivileges = true;
      PrivateDevices = true;
      PrivateTmp = true;
      ProtectClock = true;
      ProtectControlGroups = true;
      ProtectHome = true;
      ProtectHostname = true;
      ProtectKernelLogs = true;
      ProtectKernelModules = true;
      ProtectKernelTunables = true;
      ProtectSystem = "strict";
      RestrictAddressFamilies = [
        "AF_INET"
        "AF_INET6"
        "AF_UNIX"
        "AF_NETLINK"
      ];
      RestrictNamespaces = true;
      RestrictRealtime = true;
      RestrictSUIDSGID = true;
      SystemCallArchitectures = "native";
      SystemCallFilter = [
        "@system-service"
        "~@privileged"
        # nixpkgs' start script edits its configuration with sed, which gives the new file the old one's owner.
        "@chown"
      ];
      UMask = "0077";
    };
  };

  # The gateway comes in by aether.web; hosts on the servers' network ask for keys and tokens directly.
  aether.firewall.allow.oidc = {
    tcp = [ service.port ];
    from = [ "servers" ];
  };
}
