{ inventory, ... }:
{
  clients.grafana = {
    redirects = [ "https://${inventory.services.grafana.fqdn}/login/generic_oauth" ];
    roles = [
      "admin"
      "editor"
      "viewer"
    ];
  };
}
