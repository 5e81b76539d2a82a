# The first container. What it runs is written here.
{ ... }:
{
  imports = [
    ../../profiles/server.nix
    ../../own/fleet.nix
  ];
}
