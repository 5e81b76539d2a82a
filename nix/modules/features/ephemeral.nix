# An ephemeral root: `/` is a tmpfs, and what is not declared in `aether.persist` is gone after a reboot. The identity
# (SSH host key, which the secrets hang on, and the machine's id) is mounted in the initrd, before secrets are read.
{
  config,
  lib,
  utils,
  ...
}:
let
  inherit (lib) types mkOption;
  cfg = config.aether.features.ephemeral;
  inherit (config.aether) persist;
  operator = config.aether.users.operator;

  pathOf = entry: entry.directory or entry.file or entry;
  kept = map pathOf persist.directories;
  covered =
    path:
    persist.volatile ? ${path}
    || lib.any (dir: path == dir || lib.hasPrefix "${dir}/" path) (
      kept ++ lib.attrNames persist.volatile
    );

  # What systemd makes for services under /var/lib. A dynamic user's is really in /var/lib/private.
  stateOf =
    service:
    let
      config' = service.serviceConfig;
      base = if config'.DynamicUser or false == true then "/var/lib/private" else "/var/lib";
    in
    map (dir: "${base}/${lib.head (lib.splitString ":" dir)}") (
      lib.concatMap (lib.splitString " ") (lib.toList (config'.StateDirectory or [ ]))
    );
  lost = lib.filterAttrs (_: paths: paths != [ ]) (
    lib.mapAttrs (_: service: lib.filter (path: !covered path) (stateOf service)) (
      lib.filterAttrs (_: service: service.enable) config.systemd.services
    )
  );
  bind = path: {
    device = "${cfg.store}${path}";
    fsType = "none";
    options = [ "bind" ];
    neededForBoot = true;
    depends = [ cfg.store ];
  };
  identityMounts = map (path: "${utils.escapeSystemdPath "/sysroot${path}"}.mount") [
    "/etc/ssh"
    "/etc/machine-id"
  ];
in
{
  options.aether.features.ephemeral = {
    enable = lib.mkEnableOption "a root that is empty at every boot, with what persists declared";
    store = mkOption {
      type = types.str;
      default = "/persist";
      description = "Where persistent state really lies.";
    };
    size = mkOption {
      type = types.str;
      default = "25%";
      description = "Most memory that the root may take (size= of tmpfs).";
    };
    stateful = mkOption {
      type = types.attrsOf (types.listOf types.str);
      readOnly = true;
      default = lib.mapAttrs (_: stateOf) (
        lib.filterAttrs (
          _: service: service.enable && service.serviceConfig ? StateDirectory
        ) config.systemd.services
      );
      defaultText = lib.literalMD "computed";
      description = "Services with state directories: for tests.";
    };
    kept = mkOption {
      type = types.listOf types.str;
      readOnly = true;
      default = kept;
      defaultText = lib.literalMD "computed";
      description = "Directories of the system that persist: for tests.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = config.aether.features.disk.enable;
        message = ''
          ${config.networking.hostName} has an ephemeral root, but nothing that makes its disk: a running system cannot lose its root, and an image of somebody else's has another one.
          Write `aether.features.disk.enable = true;` with subvolumes for /nix and ${cfg.store}, and install it from its own image or medium (make image).'';
      }
      {
        assertion = lost == { };
        message = ''
          ${config.networking.hostName} has an ephemeral root, and state of ${lib.concatStringsSep ", " (lib.attrNames lost)} would be lost with every reboot.
          Write beside the service: aether.persist.directories = [ ${
            lib.concatMapStringsSep " " (path: "\"${path}\"") (
              lib.unique (lib.concatLists (lib.attrValues lost))
            )
          } ]; or, where losing it does no harm, aether.persist.volatile.<path> = "why".'';
      }
    ];

    fileSystems = lib.mkIf config.aether.features.disk.enable {
      "/" = {
        device = "none";
        fsType = "tmpfs";
        options = [
          "size=${cfg.size}"
          "mode=755"
          "nosuid"
          "nodev"
        ];
      };
      ${cfg.store}.neededForBoot = true;
      # sops-nix decrypts during activation, with the host key.
      "/etc/ssh" = bind "/etc/ssh";
      "/etc/machine-id" = bind "/etc/machine-id";
    };
    boot.initrd.systemd.enable = true;
    # A disk that no installer wrote to (make image) has no identity yet: it starts with a new one and waits for its
    # first contact, as every guest. Without these, the mounts would make directories of both.
    boot.initrd.systemd.services.aether-identity = {
      description = "Places of the machine's identity";
      unitConfig = {
        DefaultDependencies = false;
        RequiresMountsFor = "/sysroot${cfg.store}";
      };
      requiredBy = identityMounts;
      before = identityMounts;
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
      };
      script = ''
        mkdir -p /sysroot${cfg.store}/etc/ssh
        id=/sysroot${cfg.store}/etc/machine-id
        [ -s "$id" ] || { read -r uuid </proc/sys/kernel/random/uuid; echo "''${uuid//-/}" >"$id"; }
      '';
    };
    # It would write the id to a disk that it is on already, and fail, in every boot and every deploy.
    boot.initrd.systemd.suppressedUnits = [ "systemd-machine-id-commit.service" ];
    systemd.services.systemd-machine-id-commit.unitConfig.ConditionFirstBoot = true;
    # A home that is empty at every boot cannot hold a password that was changed by hand either.
    users.mutableUsers = lib.mkForce false;
    # Builds unpack under /tmp, which would be memory.
    nix.settings.build-dir = "/nix/var/nix/builds";

    aether.persist = {
      directories = [
        "/var/log"
        "/var/lib/nixos"
        "/var/lib/systemd"
        # What was deployed and ordered, and a boot that is tried.
        "/var/lib/aether"
      ];
    };
    environment.persistence.${cfg.store} = {
      hideMounts = true;
      inherit (persist) directories files;
      users.${operator} = lib.mkIf (persist.home.directories != [ ] || persist.home.files != [ ]) {
        inherit (persist.home) directories files;
      };
    };
    # It would come after every boot.
    security.sudo.extraConfig = "Defaults lecture=never";
  };
}
