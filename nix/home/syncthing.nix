# SharedHome on NixOS; elsewhere ansible/roles/syncthing does the same, because it needs a unit of the system. Machines and their ids
# are those of the inventory.
{
  config,
  lib,
  aether,
  ...
}:
let
  devices = lib.filterAttrs (_: host: (host.home or { }) ? syncthing_id) aether.inventory.hosts;
  id = _: host: { id = host.home.syncthing_id; };
in
{
  services.syncthing = lib.mkIf (config.aether.nixos && (aether.host.home or { }) ? syncthing_id) {
    enable = true;
    overrideDevices = true;
    overrideFolders = true;
    settings = {
      devices = lib.mapAttrs id devices;
      folders."shared-home" = {
        label = "SharedHome";
        path = "${config.home.homeDirectory}/SharedHome";
        devices = lib.attrNames devices;
        versioning.type = "staggered";
      };
      options = {
        urAccepted = -1;
        crashReportingEnabled = false;
      };
    };
  };
}
