# The operators: people who administer hosts. Their keys are facts of the inventory.
{
  config,
  lib,
  aether,
  ...
}:
let
  cfg = config.aether.users;
in
{
  options.aether.users = {
    operator = lib.mkOption {
      type = lib.types.str;
      default = aether.site.user;
      description = "Name of the administrator's account.";
    };
    keys = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = aether.site.authorized_keys;
      defaultText = lib.literalMD "`authorized_keys` of the inventory's `[site]`";
      description = "SSH public keys of the operator; also of the account that deploys: root, or `deploy` (`ssh_user`).";
    };
    passwordSecret = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = "operator-password-hash";
      description = "Secret of the host with the hash (mkpasswd -m yescrypt) of the password for sudo, the console and the login screen; the first one where users are mutable. Null for a machine without secrets.";
    };
    hardwareKeys = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = null;
      example = "operator:KeyHandle,PublicKey,es256,+presence";
      description = "pam_u2f mapping lines; where set, sudo takes a touch of the key instead of the password.";
    };
  };

  config = lib.mkMerge [
    {
      users.users.root.openssh.authorizedKeys.keys = lib.mkIf (
        (aether.host.ssh_user or "root") == "root"
      ) cfg.keys;
      users.users.${cfg.operator} = {
        isNormalUser = true;
        description = "Operator of ${aether.site.name}";
        extraGroups = [
          "wheel"
          "systemd-journal"
        ];
        openssh.authorizedKeys.keys = cfg.keys;
        hashedPasswordFile = lib.mkIf (
          cfg.passwordSecret != null
        ) config.sops.secrets.${cfg.passwordSecret}.path;
      };
    }
    (lib.mkIf (cfg.passwordSecret != null) {
      aether.secrets.${cfg.passwordSecret} = {
        neededForUsers = true;
      };
    })
    (lib.mkIf (cfg.hardwareKeys != null) {
      environment.etc."u2f_mappings".text = cfg.hardwareKeys;
      security.pam.u2f = {
        enable = true;
        settings.authfile = "/etc/u2f_mappings";
        settings.cue = true;
      };
      security.pam.services.sudo.u2fAuth = true;
    })
  ];
}
