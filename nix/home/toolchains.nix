# Languages: Go, Python, Node.js. Versions for a project are the project's (direnv, uv); these are for everything else.
{ config, pkgs, ... }:
{
  programs.go = {
    enable = true;
    env.GOPATH = "${config.xdg.dataHome}/go";
  };
  programs.uv.enable = true;
  home.packages = with pkgs; [
    python3
    ruff
    nodejs
    pnpm
    gcc
    gnumake
    # Environments of a project that brings its own.
    devbox
  ];
  home.sessionVariables.NPM_CONFIG_PREFIX = "${config.xdg.dataHome}/npm";
  home.sessionPath = [
    "${config.xdg.dataHome}/go/bin"
    "${config.xdg.dataHome}/npm/bin"
  ];
}
