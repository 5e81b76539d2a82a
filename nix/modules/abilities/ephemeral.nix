# An ephemeral root: `/` is a tmpfs, and what is not declared in `aether.persist` is gone after a reboot. The identity
# (SSH host key, which the secrets hang on, and the machine's id) is mounted in the initrd, before secrets are read.
{
  config,
  lib,
  ...
}:
let
  inherit (lib) types mkOption;
  cfg = config.aether.abilities.ephemeral;
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
in
{
  options.aether.abilities.ephemeral = {
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

    fileSystems = {
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
    # A home that is empty at every boot cannot hold a password that was changed by hand either.
    users.mutableUsers = lib.mkForce false;
    # Builds unpack under /tmp, which would be memory.
    nix.settings.build-dir = "/nix/var/nix/builds";

    aether.persist = {
      directories = [
        "/var/log"
        "/var/lib/nixos"
        "/var/lib/systemd"
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
