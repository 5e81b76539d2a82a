# A machine that somebody sits at: a desktop, its devices, the owner's environment, and applications from elsewhere.
{ lib, ... }:
let
  on.enable = lib.mkDefault true;
in
{
  aether.features = {
    bluetooth = on;
    containers = on;
    firmware = on;
    flatpak = on;
    home = on;
    memory = on;
    plasma = on;
    printing = on;
    wireless = on;
  };
  # It is reached from the owner's other machines, and from nowhere else.
  aether.ssh.from = lib.mkDefault [
    "management"
    "clients"
  ];
}
