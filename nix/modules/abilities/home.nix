# The owner's environment, by the same Home Manager files as on machines without NixOS (nix/home): it comes with the
# system, and a deploy changes both. Dotfiles are chezmoi's, applied at login because an ephemeral home starts empty.
{
  config,
  lib,
  pkgs,
  aether,
  ...
}:
let
  cfg = config.aether.abilities.home;
  operator = config.aether.users.operator;
in
{
  options.aether.abilities.home.enable =
    lib.mkEnableOption "the operator's Home Manager configuration";

  config = lib.mkIf cfg.enable {
    home-manager = {
      useGlobalPkgs = true;
      useUserPackages = true;
      backupFileExtension = "before-home-manager";
      extraSpecialArgs.aether = {
        inherit (aether)
          name
          host
          inventory
          site
          ;
      };
      users.${operator} = import ../../home/home.nix;
    };
    programs.zsh.enable = true;
    users.users.${operator}.shell = pkgs.zsh;

    systemd.user.services.dotfiles = {
      description = "Dotfiles of chezmoi's source";
      wantedBy = [ "default.target" ];
      # A machine whose owner has not run `chezmoi init` yet has none.
      unitConfig.ConditionPathExists = "%h/.local/share/chezmoi/.git";
      unitConfig.ConditionUser = operator;
      path = [
        pkgs.chezmoi
        pkgs.git
        pkgs.age
      ];
      script = "chezmoi apply --no-tty";
      serviceConfig.Type = "oneshot";
    };

    aether.persist.home = {
      directories = [
        {
          directory = ".ssh";
          mode = "0700";
        }
        {
          directory = ".gnupg";
          mode = "0700";
        }
        ".config/chezmoi"
        ".config/git"
        ".config/syncthing"
        ".local/share/chezmoi"
        ".local/share/direnv"
        ".local/share/go"
        ".local/share/npm"
        ".local/share/zoxide"
        ".local/state/nvim"
        ".local/state/syncthing"
        ".local/state/zsh"
        "SharedHome"
        "Workspace"
      ];
    };
  };
}
