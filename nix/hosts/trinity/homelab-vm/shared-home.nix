# The peer of SharedHome that is always on: machines that are never awake together meet here. Devices are those of the
# inventory that have a Syncthing id. They come here: the router lets clients into this network, and nothing of it out to them.
{
  config,
  lib,
  aether,
  ...
}:
let
  peers = aether.inventory.peersOf aether.name;
  cfg = config.services.syncthing;
  inherit (config.aether.sharedHome) identity;
in
{
  services.syncthing = {
    enable = true;
    cert = identity.cert or null;
    key = identity.key or null;
    openDefaultPorts = false;
    guiAddress = "127.0.0.1:8384";
    overrideDevices = true;
    overrideFolders = true;
    settings = {
      devices = lib.mapAttrs (_: host: { id = host.syncthing_id; }) peers;
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
  aether.sharedHome.owner = cfg.user;
  aether.persist.directories = [
    {
      directory = cfg.dataDir;
      inherit (cfg) user group;
      mode = "0700";
    }
  ];
  aether.backup.paths = [ cfg.dataDir ];
}
