# A server for one native service: nobody sits at it, it comes back by itself, it is watched, and it is hardened. What also runs
# containers is a server.nix.
{ lib, ... }:
let
  inherit (lib) mkDefault;
in
{
  aether.security.hardened.enable = mkDefault true;
  aether.security.relaxed.enable = mkDefault false;
  aether.console.enable = mkDefault true;
  aether.ssh.from = mkDefault [
    "management"
    "servers"
    "clients"
  ];
  # Nobody is there to see a graphical anything, or to read fonts.
  fonts.fontconfig.enable = mkDefault false;
  xdg.icons.enable = mkDefault false;
  xdg.mime.enable = mkDefault false;
  xdg.sounds.enable = mkDefault false;
  programs.command-not-found.enable = mkDefault false;
  # A server does not sleep.
  systemd.targets = {
    sleep.enable = mkDefault false;
    suspend.enable = mkDefault false;
    hibernate.enable = mkDefault false;
  };
}
