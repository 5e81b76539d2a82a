# A second session beside Plasma for when a machine must be light: Openbox on X11, chosen at the login screen.
{
  config,
  lib,
  pkgs,
  ...
}:
{
  options.aether.features.openbox.enable = lib.mkEnableOption "the Openbox session";

  config = lib.mkIf config.aether.features.openbox.enable {
    services.xserver.enable = true;
    services.xserver.windowManager.openbox.enable = true;
    environment.systemPackages = [
      pkgs.tint2
      pkgs.rofi
      pkgs.obconf
      pkgs.feh
    ];
    environment.etc."xdg/openbox/autostart".text = ''
      tint2 &
      nm-applet &
    '';
    programs.nm-applet.enable = config.networking.networkmanager.enable;
    aether.persist.home.directories = [ ".config/openbox" ];
  };
}
