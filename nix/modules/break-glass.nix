# The emergency key (`./aether secrets break-glass`): a way in as root for the day when everything else that lets people in is gone.
# Nobody uses it unheard of: it starts one program, which tells first.
{
  config,
  lib,
  pkgs,
  aether,
  ...
}:
let
  file = ../pki/break-glass.pub;
  program = pkgs.writeShellScript "aether-break-glass" (builtins.readFile ./break-glass.sh);
in
{
  options.aether.breakGlass.enable = lib.mkOption {
    type = lib.types.bool;
    default = builtins.pathExists file;
    defaultText = lib.literalMD "whether `nix/pki/break-glass.pub` exists";
    description = "Let root in by the emergency key, whose private half is kept offline.";
  };

  config = lib.mkIf config.aether.breakGlass.enable {
    users.users.root.openssh.authorizedKeys.keys = map (
      key: ''restrict,pty,command="${program}" ${key}''
    ) (lib.splitString "\n" (lib.fileContents file));
    # Where root's login is off otherwise, it is for this key alone. (Stronger than that module's word.)
    services.openssh.settings.PermitRootLogin = lib.mkIf (
      (aether.host.ssh_user or "root") == aether.lib.deployUser.name
    ) (lib.mkOverride 40 "forced-commands-only");
  };
}
