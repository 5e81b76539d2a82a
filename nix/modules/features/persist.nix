# What must outlive a reboot, said by whoever needs it. `ephemeral.nix` acts on it where the root is thrown away.
{ lib, ... }:
let
  inherit (lib) types mkOption;
  paths =
    description:
    mkOption {
      type = types.listOf (types.either types.str (types.attrsOf types.str));
      default = [ ];
      inherit description;
    };
in
{
  options.aether.persist = {
    directories = paths "Directories of the system: a path, or { directory, user, group, mode }.";
    files = paths "Files of the system.";
    home = {
      directories = paths "Directories of the operator's home, relative to it: a path, or { directory, mode }.";
      files = paths "Files of the operator's home, relative to it.";
    };
    volatile = mkOption {
      type = types.attrsOf types.str;
      default = { };
      example = {
        "/var/lib/upower" = "battery history, rebuilt in a day";
      };
      description = "State directories that may be lost with every reboot, each with the reason why.";
    };
  };
}
