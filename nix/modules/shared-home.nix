# What SharedHome needs of the system of a host with a Syncthing id: the way in for its peers, and its identity where its
# secrets hold one (without, Syncthing makes one that nobody knows). nix/home/syncthing.nix syncs a person's own.
{
  config,
  lib,
  aether,
  ...
}:
let
  cfg = config.aether.sharedHome;
  names = [
    "syncthing-cert"
    "syncthing-key"
  ];
  file = aether.lib.secrets.fileOf aether.name;
  held =
    builtins.elem file (aether.host.secrets or [ ])
    && aether.lib.secrets.exists file
    && lib.all (name: builtins.elem name (aether.lib.secrets.keysIn file)) names;
in
{
  options.aether.sharedHome = {
    owner = lib.mkOption {
      type = lib.types.str;
      default = config.aether.users.operator;
      defaultText = lib.literalMD "the operator";
      description = "User that Syncthing runs as.";
    };
    identity = lib.mkOption {
      type = lib.types.attrsOf lib.types.str;
      readOnly = true;
      description = "`cert` and `key` of `services.syncthing`: files with the identity, none where the host's secrets hold none.";
      default = lib.optionalAttrs (aether.host ? syncthing_id && held) {
        cert = config.sops.secrets.syncthing-cert.path;
        key = config.sops.secrets.syncthing-key.path;
      };
      defaultText = lib.literalMD "from the host's secrets";
    };
  };

  config = lib.mkIf (aether.host ? syncthing_id) {
    aether.firewall.allow.syncthing = {
      tcp = [ 22000 ];
      udp = [ 22000 ];
      from = [ "clients" ];
    };
    aether.secrets = lib.mkIf held (
      lib.genAttrs names (_: {
        inherit (cfg) owner;
        restartUnits = lib.optional config.services.syncthing.enable "syncthing.service";
      })
    );
    home-manager.users = lib.mkIf config.aether.features.home.enable {
      ${config.aether.users.operator}.services.syncthing = cfg.identity;
    };
  };
}
