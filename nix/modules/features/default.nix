# The features of personal machines, each a file of this folder.
{ lib, ... }:
{
  imports = (import ../../lib/files.nix).modulesIn ./. ++ [
    # Their name in 0.1.0.
    (lib.mkRenamedOptionModule [ "aether" "abilities" ] [ "aether" "features" ])
  ];
}
