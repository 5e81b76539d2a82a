# Packages as this repository changes them.
{ aether, ... }:
{
  nixpkgs.overlays = map import (aether.lib.files.modulesIn ../overlays);
}
