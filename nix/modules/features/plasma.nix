# The desktop: KDE Plasma 6 on Wayland, its sound, its fonts, and a browser.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.aether.features.plasma;
in
{
  options.aether.features.plasma = {
    enable = lib.mkEnableOption "KDE Plasma 6";
    touch = lib.mkEnableOption "an on-screen keyboard, for machines without another";
  };

  config = lib.mkIf cfg.enable {
    services.desktopManager.plasma6.enable = true;
    services.displayManager.sddm = {
      enable = true;
      wayland.enable = true;
      settings = lib.mkIf cfg.touch { General.InputMethod = "qtvirtualkeyboard"; };
    };
    environment.plasma6.excludePackages = [ pkgs.kdePackages.elisa ];
    environment.systemPackages = [
      pkgs.kdePackages.kcalc
      pkgs.kdePackages.filelight
      pkgs.keepassxc
      pkgs.kitty
      pkgs.wl-clipboard
    ]
    ++ lib.optionals cfg.touch [
      pkgs.maliit-keyboard
      pkgs.kdePackages.qtvirtualkeyboard
    ];
    programs.firefox.enable = lib.mkDefault true;

    services.pipewire = {
      enable = true;
      alsa.enable = true;
      pulse.enable = true;
    };
    security.rtkit.enable = true;
    fonts.packages = [
      pkgs.noto-fonts
      pkgs.noto-fonts-color-emoji
      pkgs.nerd-fonts.jetbrains-mono
    ];

    aether.persist = {
      directories = [
        "/var/lib/AccountsService"
        "/var/lib/sddm"
      ];
      volatile."/var/lib/geoclue" = "places guessed before";
      volatile."/var/lib/udisks2" = "drives seen now, and read again";
      volatile."/var/lib/upower" = "battery history, which it collects again";
      # What Plasma is set to is chezmoi's (home/chezmoi); this is what it learns.
      home.directories = [
        ".config/kdeconnect"
        ".config/keepassxc"
        ".local/share/dolphin"
        ".local/share/kactivitymanagerd"
        ".local/share/konsole"
        ".local/share/kscreen"
        ".local/share/kwalletd"
        ".local/state/wireplumber"
        ".mozilla"
        "Downloads"
      ];
      # Which screen is where. A link and no mount, because a mount refuses a new file that is renamed over it.
      home.files = [
        {
          file = ".config/kwinoutputconfig.json";
          method = "symlink";
        }
      ];
    };
  };
}
