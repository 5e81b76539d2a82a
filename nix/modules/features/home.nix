# The owner's environment, by the same Home Manager files as on machines without NixOS (nix/home): it comes with the
# system, and a deploy changes both. Dotfiles and links into SharedHome are the bootstrap's (ansible/bootstrap.yml); an
# ephemeral home starts without them, and brings them back at login.
{
  config,
  lib,
  pkgs,
  aether,
  ...
}:
let
  cfg = config.aether.features.home;
  operator = config.aether.users.operator;
  source = ".local/share/aether";
  # As in the inventory (Home in models.py).
  stow =
    (aether.host.home or { }).stow or [
      "Documents"
      "Pictures"
      "Workspace"
    ];
in
{
  options.aether.features.home.enable =
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

    systemd.user.services.restore-home = lib.mkIf config.aether.features.ephemeral.enable {
      description = "Dotfiles and links of the owner's home";
      wantedBy = [ "default.target" ];
      # Plasma reads its settings once.
      before = [ "graphical-session-pre.target" ];
      unitConfig = {
        ConditionUser = operator;
        # Neither is there before the first bootstrap.
        ConditionPathExists = [
          "%h/${source}/source/home/bin/restore-home"
          "%h/.config/chezmoi/chezmoi.toml"
        ];
      };
      path = [
        pkgs.chezmoi
        pkgs.stow
        pkgs.git
        pkgs.age
      ];
      # The desktop's own tools are called where they are there.
      script = ''
        export PATH=$PATH:/etc/profiles/per-user/$USER/bin:/run/current-system/sw/bin
        code=0
        ~/${source}/source/home/bin/restore-home ${lib.escapeShellArg (toString stow)} || code=$?
        # ~/.config/environment.d is new to the manager.
        systemctl --user daemon-reload
        exit $code
      '';
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
      };
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
        # The cluster's and the infrastructure's logins (nix/home/kubernetes.nix).
        {
          directory = ".kube";
          mode = "0700";
        }
        {
          directory = ".pulumi";
          mode = "0700";
        }
        {
          directory = ".talos";
          mode = "0700";
        }
        # Keys of secrets, and the backup's account (nix/home/files.nix).
        {
          directory = ".config/rclone";
          mode = "0700";
        }
        {
          directory = ".config/sops";
          mode = "0700";
        }
        # The answers given once, and the key of its secrets.
        ".config/chezmoi"
        ".config/git"
        ".config/syncthing"
        source
        ".local/share/direnv"
        ".local/share/go"
        ".local/share/npm"
        ".local/share/zoxide"
        ".local/state/nvim"
        ".local/state/syncthing"
        ".local/state/zsh"
        # ~/Documents, ~/Pictures and ~/Workspace are links into it: a mount in their place could never become one.
        "SharedHome"
      ];
    };
  };
}
