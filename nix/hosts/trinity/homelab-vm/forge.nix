# Git for what is nobody else's: this repository, dotfiles. People come by the gateway, which has the certificate; pushes
# go by SSH to this host itself.
{
  config,
  aether,
  ...
}:
let
  service = aether.services.forge;
in
{
  services.forgejo = {
    enable = true;
    database.type = "sqlite3";
    lfs.enable = true;
    settings = {
      server = {
        DOMAIN = service.fqdn;
        ROOT_URL = "https://${service.fqdn}/";
        HTTP_PORT = service.port;
        SSH_DOMAIN = aether.inventory.fqdn aether.name;
      };
      # The owner makes the first account at the console; nobody else registers.
      service.DISABLE_REGISTRATION = true;
      session.COOKIE_SECURE = true;
    };
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
