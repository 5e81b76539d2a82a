# Keycloak's PostgreSQL: here alone, small, dumped before each backup.
{
  config,
  lib,
  pkgs,
  ...
}:
{
  services.keycloak.database = {
    type = "postgresql";
    host = "localhost";
    createLocally = true;
    passwordFile = config.sops.secrets.db-password.path;
  };
  aether.secrets.db-password.restartUnits = [ "keycloak.service" ];

  services.postgresql = {
    # A major version is a migration, never a side effect of an update.
    package = pkgs.postgresql_17;
    settings = {
      listen_addresses = lib.mkForce "127.0.0.1";
      password_encryption = "scram-sha-256";
      max_connections = 120;
      shared_buffers = "128MB";
      effective_cache_size = "384MB";
      log_min_duration_statement = 1000;
    };
    authentication = lib.mkForce ''
      local all postgres peer
      host keycloak keycloak 127.0.0.1/32 scram-sha-256
      host keycloak keycloak ::1/128 scram-sha-256
    '';
  };

  aether.backup = {
    paths = [ "/var/backup/keycloak" ];
    calendar = "03:20";
    prepare = ''
      ${lib.getExe pkgs.bash} ${./dump-database.sh} ${config.services.postgresql.package}/bin/pg_dump keycloak /var/backup/keycloak/keycloak.dump
    '';
  };
  systemd.tmpfiles.rules = [ "d /var/backup/keycloak 0700 root root -" ];
}
