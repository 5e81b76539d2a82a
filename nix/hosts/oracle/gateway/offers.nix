{ inventory, ... }:
let
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
  clients.gateway = {
    redirects = map (name: "https://${name}/oauth2/callback") names;
    roles = [ "user" ];
  };
}
