{ inventory, ... }:
{
  exporters = {
    coder = 2112;
    postgres = 9187;
  };
  clients.coder.redirects = [
    "https://${inventory.services.coder.fqdn}/api/v2/users/oidc/callback"
  ];
}
