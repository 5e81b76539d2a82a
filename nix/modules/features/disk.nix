# The disk of a machine that people carry or sit at: GPT, an ESP, and a LUKS2 container (Argon2id) with BTRFS
# subvolumes. disko makes it (installer), and the running machine finds it again by partition labels.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) types mkOption;
  cfg = config.aether.features.disk;
  subvolumes =
    lib.mapAttrs (
      _: mountpoint:
      {
        inherit mountpoint;
      }
      // lib.optionalAttrs (mountpoint != null) {
        mountOptions = [
          "compress=zstd"
          "noatime"
        ];
      }
    ) cfg.subvolumes
    // lib.optionalAttrs (cfg.swap > 0) {
      # A file of its own subvolume: no snapshot ever holds it, and no compression (resume reads it raw).
      "@swap" = {
        mountpoint = "/swap";
        mountOptions = [ "noatime" ];
        swap.swapfile.size = "${toString cfg.swap}G";
      };
    };
  pool = {
    type = "btrfs";
    extraArgs = [
      "--label"
      cfg.label
    ];
    inherit subvolumes;
  };
  encrypted = {
    type = "luks";
    inherit (cfg) name;
    # Argon2id with a fixed cost (1 GiB, four passes): a benchmark on a busy installer would make it cheaper.
    extraFormatArgs = [
      "--type"
      "luks2"
      "--cipher"
      "aes-xts-plain64"
      "--key-size"
      "512"
      "--hash"
      "sha256"
      "--pbkdf"
      "argon2id"
      "--pbkdf-memory"
      "1048576"
      "--pbkdf-parallel"
      "4"
      "--pbkdf-force-iterations"
      "4"
    ];
    settings = {
      # TRIM tells which blocks are free, and keeps the SSD fast: worth it on a machine of one's own.
      allowDiscards = true;
      bypassWorkqueues = true;
      crypttabExtraOpts = [ "tries=5" ];
    };
    content = pool;
  };
in
{
  options.aether.features.disk = {
    enable = lib.mkEnableOption "the encrypted disk of a personal machine";
    device = mkOption {
      type = types.str;
      default = "/dev/aether/system";
      description = "The disk to make it on. The default is a link that only the installer makes, once somebody typed the disk's serial: no script finds a disk by itself.";
    };
    encrypt = mkOption {
      type = types.bool;
      default = true;
      description = "Put the pool into LUKS2. Off for images, which somebody else could read anyway.";
    };
    name = mkOption {
      type = types.str;
      default = "cryptroot";
      description = "Name of the opened container in /dev/mapper.";
    };
    label = mkOption {
      type = types.str;
      default = config.networking.hostName;
      description = "Label of the BTRFS file system.";
    };
    esp = mkOption {
      type = types.str;
      default = "1G";
      description = "Size of the EFI system partition: kernels and initrds of ten generations.";
    };
    espMount = mkOption {
      type = types.str;
      default = "/boot";
      description = "Where the ESP is mounted.";
    };
    partitions = mkOption {
      type = types.attrsOf types.anything;
      default = { };
      description = "Further partitions (disko) between the ESP and the pool.";
    };
    subvolumes = mkOption {
      type = types.attrsOf (types.nullOr types.str);
      default = { };
      description = "BTRFS subvolumes and where each is mounted; null for those of another system.";
    };
    swap = mkOption {
      type = types.ints.unsigned;
      default = 0;
      description = "GiB of swap file in the pool; 0 for none. At least the memory, where the machine hibernates.";
    };
  };

  config = lib.mkIf cfg.enable {
    disko.devices.disk.main = {
      type = "disk";
      inherit (cfg) device;
      imageSize = lib.mkDefault "24G";
      content = {
        type = "gpt";
        partitions = {
          ESP = {
            priority = 1;
            type = "EF00";
            size = cfg.esp;
            content = {
              type = "filesystem";
              format = "vfat";
              mountpoint = cfg.espMount;
              mountOptions = [ "umask=0077" ];
            };
          };
          pool = {
            size = "100%";
            content = if cfg.encrypt then encrypted else pool;
          };
        }
        // cfg.partitions;
      };
    };
    # As in disks.nix: the builder's VM wants one tree of modules, with the kernel's file name. Whatever kernel the
    # machine runs, the image is made by nixpkgs' own.
    disko.imageBuilder = {
      kernelPackages = pkgs.linuxPackages;
      pkgs = pkgs // {
        aggregateModules =
          modules: pkgs.aggregateModules modules // { inherit (pkgs.linuxPackages.kernel) target; };
      };
    };
    boot.loader.efi.efiSysMountPoint = cfg.espMount;
    boot.loader.efi.canTouchEfiVariables = true;
    aether.boot.counting = lib.mkDefault true;
    boot.initrd.systemd.enable = true;
    services.fstrim.enable = lib.mkDefault true;
    # Bit rot is found while the backup is still good.
    services.btrfs.autoScrub = {
      enable = lib.mkDefault true;
      interval = lib.mkDefault "monthly";
    };
  };
}
