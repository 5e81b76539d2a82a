# What is developed with: toolchains, containers, flakes by hand. Of itself on machines without a screen.
{ lib, pkgs, ... }:
{
  aether.podman.enable = lib.mkDefault true;
  aether.podman.socket = lib.mkDefault true;
  programs.git.enable = lib.mkDefault true;
  programs.direnv.enable = lib.mkDefault true;
  programs.nix-ld.enable = lib.mkDefault true;
  environment.systemPackages = [
    pkgs.gnumake
    pkgs.go
    pkgs.nodejs
    pkgs.python3
    pkgs.ripgrep
    pkgs.tmux
    pkgs.uv
  ];
}
