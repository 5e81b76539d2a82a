# Git for what is nobody else's: this repository, dotfiles. Reached from the owner's machines, with the internal CA's
# certificate; pushes go by SSH.
{
  config,
  aether,
  ...
}:
let
  cert = config.aether.certificates.hosts.forge;
  fqdn = aether.inventory.fqdn aether.name;
  port = 3443;
in
{
  services.forgejo = {
    enable = true;
    database.type = "sqlite3";
    lfs.enable = true;
    settings = {
      server = {
        PROTOCOL = "https";
        DOMAIN = fqdn;
        ROOT_URL = "https://${fqdn}:${toString port}/";
        HTTP_PORT = port;
        CERT_FILE = cert.cert;
        KEY_FILE = cert.key;
      };
      # The owner makes the first account at the console; nobody else registers.
      service.DISABLE_REGISTRATION = true;
      session.COOKIE_SECURE = true;
    };
  };
  aether.certificates.hosts.forge = {
    inherit (config.services.forgejo) group;
    units = [ "forgejo.service" ];
  };
  aether.firewall.allow.forge = {
    tcp = [ port ];
    from = [
      "clients"
      "management"
      "gateway"
    ];
  };
  aether.persist.directories = [
    {
      directory = config.services.forgejo.stateDir;
      inherit (config.services.forgejo) user group;
      mode = "0750";
    }
  ];
  aether.backup.paths = [ config.services.forgejo.stateDir ];
}
