# Git. Who commits differs by machine: chezmoi writes it to ~/.config/git/local.
{ config, ... }:
{
  programs.git = {
    enable = true;
    includes = [ { path = "${config.xdg.configHome}/git/local"; } ];
    ignores = [
      ".direnv/"
      "result"
      "result-*"
    ];
    settings = {
      init.defaultBranch = "main";
      pull.rebase = true;
      push.autoSetupRemote = true;
      rebase.autoStash = true;
      rerere.enabled = true;
      diff.algorithm = "histogram";
      merge.conflictStyle = "zdiff3";
      alias = {
        st = "status --short --branch";
        lg = "log --graph --oneline --decorate";
      };
    };
  };
  programs.delta = {
    enable = true;
    enableGitIntegration = true;
  };
  programs.lazygit.enable = true;
}
