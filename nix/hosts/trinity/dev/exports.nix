{ inventory, ... }:
{
  exporters = {
    coder = 2112;
    postgres = 9187;
  };
  clients.coder.redirects = map (
    name: "https://${name}/api/v2/users/oidc/callback"
  ) inventory.services.coder.names;
}
