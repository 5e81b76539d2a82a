# Secrets by sops-nix: encrypted in secrets/, decrypted on the host with the age key that its SSH host key is.
# A secret that no file holds stops the evaluation, not the activation.
{
  config,
  lib,
  aether,
  ...
}:
let
  inherit (lib) types mkOption;
  cfg = config.aether.secrets;
  host = aether.name;

  problemOf =
    name: secret:
    aether.lib.secrets.problem {
      inherit host name;
      inherit (secret) file key;
      granted = aether.host.secrets or [ ];
    };

  toSops =
    name: secret:
    let
      problem = problemOf name secret;
    in
    {
      sopsFile =
        if problem == null then
          aether.lib.files.alone (aether.lib.secrets.path secret.file)
        else
          throw problem;
      inherit (secret)
        key
        mode
        restartUnits
        reloadUnits
        neededForUsers
        ;
    }
    // lib.optionalAttrs (secret.owner != null) { inherit (secret) owner; }
    // lib.optionalAttrs (secret.group != null) { inherit (secret) group; };
in
{
  options.aether.secrets = mkOption {
    default = { };
    description = "Secrets this host reads, by name; each is then a file at `config.sops.secrets.NAME.path`.";
    type = types.attrsOf (
      types.submodule (
        { name, ... }:
        {
          options = {
            file = mkOption {
              type = types.str;
              default = aether.lib.secrets.fileOf host;
              defaultText = lib.literalMD "`hosts/<host>.yaml`";
              description = "sops file, relative to secrets/; the inventory must list it in the host's `secrets`.";
            };
            key = mkOption {
              type = types.str;
              default = name;
              description = "Key in that file; `a/b` for a nested one.";
            };
            owner = mkOption {
              type = types.nullOr types.str;
              default = null;
              description = "User that may read it (root when null).";
            };
            group = mkOption {
              type = types.nullOr types.str;
              default = null;
              description = "Group of the file (the owner's when null).";
            };
            mode = mkOption {
              type = types.str;
              default = "0400";
              description = "File mode, octal.";
            };
            neededForUsers = mkOption {
              type = types.bool;
              default = false;
              description = "Decrypt before users are made: for password hashes.";
            };
            restartUnits = mkOption {
              type = types.listOf types.str;
              default = [ ];
              description = "Units to restart when it changes.";
            };
            reloadUnits = mkOption {
              type = types.listOf types.str;
              default = [ ];
              description = "Units to reload when it changes.";
            };
          };
        }
      )
    );
  };

  config.sops = {
    age.sshKeyPaths = lib.mkDefault [ "/etc/ssh/ssh_host_ed25519_key" ];
    gnupg.sshKeyPaths = lib.mkDefault [ ];
    secrets = lib.mapAttrs toSops cfg;
  };
}
