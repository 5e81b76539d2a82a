# The peer of SharedHome that is always on: machines that are never awake together meet here. Devices are those of the
# inventory that have a Syncthing id.
{
  config,
  lib,
  aether,
  ...
}:
let
  peers = lib.filterAttrs (
    name: host: name != aether.name && (host.home or { }) ? syncthing_id
  ) aether.hosts;
  cfg = config.services.syncthing;
in
{
  services.syncthing = {
    enable = true;
    openDefaultPorts = false;
    guiAddress = "127.0.0.1:8384";
    overrideDevices = true;
    overrideFolders = true;
    settings = {
      devices = lib.mapAttrs (_: host: { id = host.home.syncthing_id; }) peers;
      folders.shared-home = {
        label = "SharedHome";
        path = "${cfg.dataDir}/SharedHome";
        devices = lib.attrNames peers;
        versioning = {
          type = "staggered";
          params.maxAge = "7776000";
        };
      };
      options = {
        urAccepted = -1;
        crashReportingEnabled = false;
        relaysEnabled = false;
        globalAnnounceEnabled = false;
      };
    };
  };
  aether.firewall.allow.syncthing = {
    tcp = [ 22000 ];
    udp = [ 22000 ];
    from = [ "clients" ];
  };
  aether.persist.directories = [
    {
      directory = cfg.dataDir;
      inherit (cfg) user group;
      mode = "0700";
    }
  ];
  aether.backup.paths = [ cfg.dataDir ];
}
