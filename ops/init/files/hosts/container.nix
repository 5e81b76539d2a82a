# The first container. What it runs is written here.
{ ... }:
{
  imports = [
    ../../profiles/appliance.nix
    ../../own/fleet.nix
  ];
}
