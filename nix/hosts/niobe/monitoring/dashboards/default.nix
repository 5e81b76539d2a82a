# The dashboards, by file name. Metrics are those of node exporter, blackbox exporter and the programs' own.
{ lib }:
let
  d = import ./lib.nix { inherit lib; };
in
lib.mapAttrs (_: file: d.dashboard (import file d)) {
  fleet = ./fleet.nix;
  deploys = ./deploys.nix;
  host = ./host.nix;
  services = ./services.nix;
  logs = ./logs.nix;
  observability = ./observability.nix;
}
