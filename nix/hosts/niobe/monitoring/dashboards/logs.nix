# Journals of the fleet.
d:
let
  selected = ''{host_name=~"$host", service_name=~"$service"}'';
in
{
  uid = "logs";
  title = "Logs";
  columns = 1;
  height = 12;
  variables = [
    (d.variable "host" "loki" "label_values(host_name)")
    (d.variable "service" "loki" "label_values(service_name)")
  ];
  panels = [
    (d.logs "Activations and reverts" ''{service_namespace="homelab"} | unit =~ "aether-.*"'')
    (d.logs "Errors" "${selected} | severity_number >= 17")
    (d.logs "All" selected)
  ];
}
