# A server: hardened login, and services as containers beside the native ones.
{ lib, ... }:
{
  imports = [ ./appliance.nix ];
  aether.abilities.orchestration.enable = lib.mkDefault true;
}
