# Snapshots of BTRFS subvolumes by btrbk, hourly and pruned: against one's own mistakes. A backup is another thing, on
# another machine (aether.backup).
{ config, lib, ... }:
let
  cfg = config.aether.features.snapshots;
  nameOf =
    path:
    if path == "/" then "root" else lib.replaceStrings [ "/" ] [ "-" ] (lib.removePrefix "/" path);
in
{
  options.aether.features.snapshots = {
    enable = lib.mkEnableOption "hourly snapshots";
    of = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      example = [ "/home" ];
      description = "Mount points of the subvolumes to take snapshots of.";
    };
    directory = lib.mkOption {
      type = lib.types.str;
      default = "/.snapshots";
      description = "Mount point of the subvolume that holds them.";
    };
    keep = lib.mkOption {
      type = lib.types.str;
      default = "24h 14d 8w 6m";
      description = "How many of each kind stay (btrbk, snapshot_preserve).";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = lib.all (path: config.fileSystems.${path}.fsType or null == "btrfs") (
          cfg.of ++ [ cfg.directory ]
        );
        message = "aether.features.snapshots: ${
          lib.concatStringsSep ", " (cfg.of ++ [ cfg.directory ])
        } must each be a mounted BTRFS subvolume; add the missing one to aether.features.disk.subvolumes.";
      }
    ];
    aether.persist.volatile."/var/lib/btrbk" =
      "home of a user that holds nothing: its snapshots are elsewhere";
    services.btrbk.instances.local = {
      onCalendar = "hourly";
      snapshotOnly = true;
      settings = {
        timestamp_format = "long";
        snapshot_preserve_min = "2h";
        snapshot_preserve = cfg.keep;
        snapshot_dir = cfg.directory;
        volume = lib.genAttrs cfg.of (path: {
          subvolume.".".snapshot_name = nameOf path;
        });
      };
    };
  };
}
