# What manages the rest of the home: dotfiles, links into SharedHome, secrets, backup.
{ pkgs, ... }:
{
  home.packages = with pkgs; [
    chezmoi
    stow
    age
    sops
    rclone
    ssh-to-age
  ];
}
