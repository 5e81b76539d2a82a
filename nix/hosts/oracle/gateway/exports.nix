{ inventory, ... }:
let
  cluster = import ../../../lib/cluster.nix { inherit inventory; };
  protected = builtins.filter (service: service.login == "proxy") (
    builtins.attrValues inventory.services
  );
  names = builtins.concatMap (service: service.names) protected;
in
{
  exporters = {
    caddy = 9180;
    haproxy = 8404;
  };
  # oauth2-proxy, for every service that has no login of its own.
  clients = {
    gateway = {
      redirects = map (name: "https://${name}/oauth2/callback") names;
      roles = [ "user" ];
    };
  }
  # kubectl of people, who have no place for a secret; the cluster itself only reads what they bring.
  // (
    if cluster == null then
      { }
    else
      {
        ${cluster.login.client} = {
          inherit (cluster.login) redirects;
          public = true;
        };
      }
  );
}
