# Tools for whoever logs in to the machine itself; projects bring their own by flake and direnv.
{ pkgs, ... }:
{
  environment.systemPackages = [
    pkgs.cargo
    pkgs.clang
    pkgs.gh
    pkgs.kubectl
    pkgs.nixfmt-rs
    pkgs.opentofu
    pkgs.podman-compose
    pkgs.rustc
    pkgs.talosctl
  ];
  programs.direnv.nix-direnv.enable = true;
  # A build box has other machines' builds too.
  nix.settings.keep-outputs = true;
}
