{ inventory, ... }:
{
  clients.grafana = {
    redirects = map (name: "https://${name}/login/generic_oauth") inventory.services.grafana.names;
    logouts = map (name: "https://${name}/login") inventory.services.grafana.names;
    roles = [
      "admin"
      "editor"
      "viewer"
    ];
  };
}
