# A server: hardened login, and services as containers beside the native ones.
{ lib, ... }:
{
  imports = [ ./appliance.nix ];
  aether.features.orchestration.enable = lib.mkDefault true;
}
