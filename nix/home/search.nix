# Finding things: ripgrep, fd, fzf, bat.
{
  programs = {
    ripgrep = {
      enable = true;
      arguments = [
        "--smart-case"
        "--hidden"
        "--glob=!.git"
      ];
    };
    fd = {
      enable = true;
      hidden = true;
      ignores = [ ".git/" ];
    };
    fzf = {
      enable = true;
      defaultCommand = "fd --type file";
      fileWidget.command = "fd --type file";
      changeDirWidget.command = "fd --type directory";
    };
    bat.enable = true;
    eza.enable = true;
    jq.enable = true;
    htop.enable = true;
  };
}
