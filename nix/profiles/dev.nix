# A machine to develop on: toolchains and containers, a desktop, and the relaxed login, for its developer alone reaches it.
{ lib, ... }:
{
  imports = [ ./toolchains.nix ];
  aether.security.relaxed.enable = lib.mkDefault true;
  aether.security.hardened.enable = lib.mkDefault false;
  aether.features.plasma.enable = lib.mkDefault true;
}
