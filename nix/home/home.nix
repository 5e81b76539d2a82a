# Who the owner is and what every machine gets. Facts of the machine come as `aether.host`.
{ lib, aether, ... }:
let
  inherit (aether) host;
  isNixos =
    lib.hasPrefix "nixos-" host.kind || (host.kind == "cloud-vm" && (host.os or "") == "nixos");
in
{
  imports = [
    ./editor.nix
    ./files.nix
    ./git.nix
    ./kubernetes.nix
    ./search.nix
    ./shell.nix
    ./syncthing.nix
    ./toolchains.nix
  ];

  options.aether.nixos = lib.mkOption {
    type = lib.types.bool;
    readOnly = true;
    default = isNixos;
    defaultText = lib.literalMD "whether the inventory's entry is NixOS";
    description = "The machine runs NixOS; elsewhere the distribution, image or Ansible owns the system.";
  };

  config = {
    home = {
      username = aether.site.user;
      homeDirectory = "/home/${aether.site.user}";
      # Defaults of the release that these files were written for; never raised by itself.
      stateVersion = "25.05";
      sessionPath = [ "$HOME/.local/bin" ];
    };
    programs.home-manager.enable = true;
    # Paths, locales and desktop entries of Nix programs on Fedora, Debian and WSL.
    targets.genericLinux.enable = !isNixos;
    # Half of the evaluation time, and the manual is on the web.
    manual.manpages.enable = lib.mkDefault false;
    news.display = "silent";
  };
}
