# The first virtual machine. What it runs is written here.
{ pkgs, ... }:
{
  imports = [
    ../../profiles/appliance.nix
    ../../own/fleet.nix
  ];
  environment.systemPackages = [ pkgs.git ];
}
