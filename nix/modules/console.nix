# Being administered from the fleet's console (host cockpit): the bridge that Cockpit starts over SSH, and the
# console's key, which works from the console's address alone.
{
  config,
  lib,
  pkgs,
  aether,
  ...
}:
let
  cfg = config.aether.console;
in
{
  options.aether.console = {
    enable = lib.mkEnableOption "administration by Cockpit from the fleet's console";
    server = lib.mkOption {
      type = lib.types.str;
      default = "cockpit";
      description = "Host of the inventory that is the console.";
    };
    key = lib.mkOption {
      type = lib.types.str;
      default = lib.fileContents ../pki/cockpit-fleet.pub;
      description = "Public half of the console's SSH key; two, a line each, while it is rotated.";
    };
  };

  config = lib.mkIf cfg.enable {
    environment.systemPackages = [ pkgs.cockpit ];
    users.users.${config.aether.users.operator}.openssh.authorizedKeys.keys = map (
      key:
      ''from="${aether.inventory.address cfg.server}",no-agent-forwarding,no-port-forwarding,no-X11-forwarding ${key}''
    ) (lib.splitString "\n" cfg.key);
  };
}
