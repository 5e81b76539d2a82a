# VPS: what is public and must work when home does not: a web server, and push messages to whom its owner gives an account.
{ aether, ... }:
let
  domain = aether.site.public_domain;
in
{
  imports = [
    ../../images/amazon.nix
    ../../profiles/server.nix
  ];
  aether.features.memory.enable = true;

  services.caddy = {
    enable = true;
    # Its name is public, and so is the authority that vouches for it.
    email = "hostmaster@${domain}";
    virtualHosts = {
      "www.${domain}".extraConfig = ''
        root * /srv/www
        file_server
        encode zstd gzip
        header Strict-Transport-Security "max-age=31536000"
      '';
      "push.${domain}".extraConfig = ''
        reverse_proxy 127.0.0.1:2586
      '';
    };
  };
  services.ntfy-sh = {
    enable = true;
    settings = {
      base-url = "https://push.${domain}";
      listen-http = "127.0.0.1:2586";
      behind-proxy = true;
      # Accounts are made by `ntfy user add` on the machine; nobody else reads or writes.
      auth-default-access = "deny-all";
    };
  };
  systemd.tmpfiles.rules = [ "d /srv/www 0755 root root -" ];
  aether.firewall.allow.web = {
    tcp = [
      80
      443
    ];
    udp = [ 443 ];
  };
  # Accounts and topics, what is served, and certificates whose renewal is limited.
  aether.backup.paths = [
    "/srv/www"
    "/var/lib/private/ntfy-sh"
    "/var/lib/caddy"
  ];
  # Nobody at home can be asked for a name here.
  aether.ssh.from = [ ];
}
