# PostgreSQL for what runs in the cluster: one database, in which OpenBao makes an account for an hour where one is asked for
# (nix/hosts/oracle/openbao/databases.nix). Nobody has a password for good.
{
  config,
  lib,
  pkgs,
  aether,
  ...
}:
let
  cert = config.aether.certificates.hosts.database;
  package = config.services.postgresql.package;
  data = config.services.postgresql.dataDir;
  dumps = "/var/backup/postgresql";
  # PostgreSQL takes no key that belongs to somebody else.
  takeCertificate = pkgs.writeShellScript "postgresql-certificate" ''
    set -e
    ${pkgs.coreutils}/bin/install --mode=0644 ${cert.cert} ${data}/server.crt
    ${pkgs.coreutils}/bin/install --mode=0600 ${cert.key} ${data}/server.key
  '';
in
{
  services.postgresql = {
    enable = true;
    # A major version is a migration, never a side effect of an update.
    package = pkgs.postgresql_17;
    ensureDatabases = [ "apps" ];
    settings = {
      listen_addresses = lib.mkForce "127.0.0.1,${aether.host.address}";
      password_encryption = "scram-sha-256";
      ssl = true;
      ssl_cert_file = "server.crt";
      ssl_key_file = "server.key";
      ssl_min_protocol_version = "TLSv1.3";
      log_connections = true;
      log_min_duration_statement = 1000;
    };
    # The first that fits counts.
    authentication = lib.mkForce ''
      local all postgres peer
      hostssl apps openbao ${aether.inventory.address "openbao"}/32 scram-sha-256
      host all openbao all reject
      hostssl apps +apps,+apps_readonly ${aether.networks.kubernetes.cidr} scram-sha-256
    '';
  };

  users.groups.database-tls = { };
  aether.certificates.hosts.database = {
    group = "database-tls";
    units = [ "postgresql.service" ];
  };
  # In a file of both hosts' (`./aether secrets check` looks for others in the host's own).
  aether.secrets = {
    apps-database-password.file = "databases.yaml";
  };
  systemd.services.postgresql = {
    preStart = lib.mkAfter "${takeCertificate}";
    serviceConfig = {
      SupplementaryGroups = [ "database-tls" ];
      ExecReload = lib.mkForce [
        "${takeCertificate}"
        "${pkgs.coreutils}/bin/kill -HUP $MAINPID"
      ];
    };
  };

  systemd.services.postgresql-roles = {
    description = "Roles of the database apps";
    wantedBy = [ "multi-user.target" ];
    requires = [ "postgresql.target" ];
    after = [ "postgresql.target" ];
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
      User = "postgres";
      LoadCredential = "apps-database-password:${config.sops.secrets.apps-database-password.path}";
      ExecStart = "${package}/bin/psql --no-psqlrc --quiet --dbname=apps --file=${./database.sql}";
    };
  };

  aether.firewall.allow.database = {
    tcp = [ config.services.postgresql.settings.port ];
    from = [
      "openbao"
      "kubernetes"
    ];
  };
  aether.backup = {
    paths = [ dumps ];
    prepare = ''
      mkdir -p -m 0700 ${dumps}
      ${pkgs.util-linux}/bin/runuser -u postgres -- ${package}/bin/pg_dump --format=custom apps > ${dumps}/apps.dump.new
      mv ${dumps}/apps.dump.new ${dumps}/apps.dump
    '';
  };
}
