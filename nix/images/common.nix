# A machine that nobody is yet: reachable by SSH for its first deploy, and nothing else.
{ lib, aether, ... }:
let
  # A fleet may have one flat network.
  there = lib.filter (name: aether.networks ? ${name});
in
{
  imports = [ ../profiles/appliance.nix ];
  aether.network.enable = false;
  # From the networks that servers are reached from (the profile's), as far as there are such.
  aether.ssh.from = lib.mkOverride 900 (there [
    "management"
    "servers"
    "clients"
  ]);
  aether.ssh.operators = lib.mkOverride 900 (
    if aether.networks ? management then [ "management" ] else there [ "servers" ]
  );
  # Neither ships anything nor has secrets before it is somebody.
  aether.otel.enable = false;
  aether.console.enable = false;
  aether.users.passwordSecret = null;
  networking.hostName = "";
}
