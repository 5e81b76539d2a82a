# The shell: zsh, its prompt, and what is typed all day.
{ config, ... }:
{
  programs = {
    zsh = {
      enable = true;
      dotDir = "${config.xdg.configHome}/zsh";
      autosuggestion.enable = true;
      syntaxHighlighting.enable = true;
      history = {
        path = "${config.xdg.stateHome}/zsh/history";
        size = 100000;
        save = 100000;
        ignoreDups = true;
        ignoreSpace = true;
        share = true;
      };
      shellAliases = {
        ll = "ls -l";
        k = "kubectl";
        g = "git";
      };
    };
    # Where zsh is not the login shell (Atomic, WSL): the same environment.
    bash = {
      enable = true;
      historyControl = [ "ignoreboth" ];
    };
    starship = {
      enable = true;
      settings = {
        add_newline = false;
        kubernetes.disabled = false;
        nix_shell.format = "[$symbol]($style) ";
      };
    };
    direnv = {
      enable = true;
      nix-direnv.enable = true;
    };
    zoxide.enable = true;
    tmux = {
      enable = true;
      keyMode = "vi";
      mouse = true;
      historyLimit = 50000;
      escapeTime = 10;
    };
  };
  xdg.enable = true;
}
