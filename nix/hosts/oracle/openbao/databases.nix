# Databases that OpenBao makes accounts in, and what those may. The other side is nix/hosts/trinity/homelab-vm/database.nix.
{ lib, aether }:
let
  host = "homelab-vm";
  account = role: {
    creation_statements = [
      "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}' IN ROLE ${role}"
      # What it makes belongs to all accounts of the role, and stays when this one goes.
      "ALTER ROLE \"{{name}}\" SET role = '${role}'"
    ];
    renew_statements = [ "ALTER ROLE \"{{name}}\" VALID UNTIL '{{expiration}}'" ];
    revocation_statements = [
      # Nobody logs in between the end of the sessions and that of the account.
      "ALTER ROLE \"{{name}}\" NOLOGIN"
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{{name}}'"
      "REASSIGN OWNED BY \"{{name}}\" TO apps"
      "DROP OWNED BY \"{{name}}\""
      "DROP ROLE \"{{name}}\""
    ];
    default_ttl = "1h";
    max_ttl = "24h";
  };
in
lib.optionalAttrs (aether.hosts ? ${host}) {
  apps = {
    inherit host;
    # Of the first contact alone: what follows is known to OpenBao and nobody else.
    password = "apps-database-password";
    config = {
      plugin_name = "postgresql-database-plugin";
      connection_url = "postgresql://{{username}}:{{password}}@${aether.inventory.fqdn host}:5432/apps?sslmode=verify-full&sslrootcert=/etc/openbao/root_ca.crt";
      username = "openbao";
      # PostgreSQL is sent hashes of passwords, so none is in its log.
      password_authentication = "scram-sha-256";
      max_open_connections = 4;
    };
    roles = {
      apps = account "apps";
      apps-readonly = account "apps_readonly";
    };
  };
}
