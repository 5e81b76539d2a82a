# Coder: log in at Keycloak, get a workspace. State is in PostgreSQL; the containers belong to user coder, who is
# nobody else on this machine and owns a Podman without root.
{
  config,
  pkgs,
  lib,
  aether,
  ...
}:
let
  service = aether.services.coder;
  url = "https://${service.name}";
  metricsPort = config.aether.otel.exporters.coder;
  uid = 970;
  dumps = "/var/backup/postgresql";
in
{
  services.coder = {
    enable = true;
    listenAddress = "0.0.0.0:${toString service.port}";
    accessUrl = url;
    # On the second disk: images and volumes of all workspaces are below it.
    homeDir = "/home/coder";
    environment = {
      file = config.sops.templates."coder.env".path;
      extra = {
        CODER_OIDC_ISSUER_URL = config.aether.web.issuer;
        CODER_OIDC_CLIENT_ID = "coder";
        CODER_OIDC_SCOPES = "openid,profile,email";
        CODER_OIDC_USERNAME_FIELD = "preferred_username";
        CODER_OIDC_EMAIL_DOMAIN = aether.site.public_domain;
        CODER_OIDC_ALLOW_SIGNUPS = "true";
        CODER_OIDC_SIGN_IN_TEXT = "Log in with Keycloak";
        CODER_SECURE_AUTH_COOKIE = "true";
        CODER_PROXY_TRUSTED_HEADERS = "X-Forwarded-For";
        CODER_PROXY_TRUSTED_ORIGINS = "${aether.inventory.address config.aether.web.gateway}/32";
        CODER_PROMETHEUS_ENABLE = "true";
        CODER_PROMETHEUS_ADDRESS = "0.0.0.0:${toString metricsPort}";
        CODER_TELEMETRY_ENABLE = "false";
        CODER_UPDATE_CHECK = "false";
        # Terraform's Docker provider speaks to the rootless socket of this user.
        DOCKER_HOST = "unix:///run/user/${toString uid}/podman/podman.sock";
      };
    };
  };
  # Coder supports Terraform alone; its licence is the one exception made here.
  nixpkgs.config.allowUnfreePredicate = package: lib.getName package == "terraform";

  users.users.coder = {
    inherit uid;
    # Podman needs a login session's runtime directory, and numbers to map a container's users to.
    linger = true;
    autoSubUidGidRange = true;
  };
  systemd.services.coder = {
    wants = [ "user@${toString uid}.service" ];
    after = [
      "postgresql.target"
      "user@${toString uid}.service"
    ];
    requires = [ "postgresql.target" ];
    unitConfig.RequiresMountsFor = "/home/coder";
  };

  sops.templates."coder.env" = {
    content = "CODER_OIDC_CLIENT_SECRET=${config.sops.placeholder.oidc-client-secret}\n";
    restartUnits = [ "coder.service" ];
  };
  aether.secrets.oidc-client-secret = { };
  services.postgresql.package = pkgs.postgresql_17;
  services.prometheus.exporters.postgres = {
    enable = true;
    runAsLocalSuperUser = true;
    port = config.aether.otel.exporters.postgres;
  };
  aether.backup = {
    paths = [ dumps ];
    prepare = ''
      mkdir -p -m 0700 ${dumps}
      ${pkgs.util-linux}/bin/runuser -u postgres -- ${config.services.postgresql.package}/bin/pg_dump --format=custom coder > ${dumps}/coder.dump.new
      mv ${dumps}/coder.dump.new ${dumps}/coder.dump
    '';
  };
}
