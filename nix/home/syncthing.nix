# SharedHome on NixOS; elsewhere ansible/roles/syncthing does the same, because it needs a unit of the system. Machines and their ids
# are those of the inventory.
{
  config,
  lib,
  aether,
  ...
}:
let
  peers = aether.inventory.peersOf aether.name;
in
{
  services.syncthing = lib.mkIf (config.aether.nixos && aether.host ? syncthing_id) {
    enable = true;
    overrideDevices = true;
    overrideFolders = true;
    settings = {
      devices = lib.mapAttrs (_: host: {
        id = host.syncthing_id;
        # Where it is at home, and wherever else it says that it is.
        addresses = [
          "tcp://${host.address}:22000"
          "dynamic"
        ];
      }) peers;
      folders."shared-home" = {
        label = "SharedHome";
        path = "${config.home.homeDirectory}/SharedHome";
        devices = lib.attrNames peers;
        versioning.type = "staggered";
      };
      options = {
        urAccepted = -1;
        crashReportingEnabled = false;
      };
    };
  };
}
