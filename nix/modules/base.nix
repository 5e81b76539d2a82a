# What every machine has in common. Values are defaults: a host may differ by setting its own.
{
  lib,
  pkgs,
  aether,
  ...
}:
let
  inherit (lib) mkDefault;
in
{
  networking.hostName = mkDefault aether.name;
  networking.domain = mkDefault aether.site.domain;
  time.timeZone = mkDefault aether.site.timezone;
  i18n.defaultLocale = mkDefault "en_US.UTF-8";
  system.stateVersion = mkDefault "26.11";
  nixpkgs.hostPlatform = mkDefault "x86_64-linux";

  nix = {
    channel.enable = mkDefault false;
    settings = {
      experimental-features = [
        "nix-command"
        "flakes"
      ];
      # Root alone: whoever is trusted by the daemon is root in all but name.
      trusted-users = mkDefault [ "root" ];
      # What the operator or a builder sends is signed with the fleet's key; the store takes nothing else, from root neither.
      trusted-public-keys = lib.splitString "\n" (lib.fileContents ../pki/nix-signing.pub);
      allowed-users = mkDefault [ "@wheel" ];
      # Keep room for the next closure rather than fail half-way through a copy.
      min-free = mkDefault (1024 * 1024 * 1024);
      max-free = mkDefault (4 * 1024 * 1024 * 1024);
    };
    gc = {
      automatic = mkDefault true;
      dates = mkDefault "weekly";
      # Generations to go back to stay for a month.
      options = mkDefault "--delete-older-than 30d";
    };
  };

  # A server's manual is read elsewhere.
  documentation.nixos.enable = mkDefault false;
  documentation.doc.enable = mkDefault false;
  documentation.info.enable = mkDefault false;

  services.journald.extraConfig = ''
    SystemMaxUse=1G
    MaxRetentionSec=1month
  '';
  # Time stamps of logs, certificates and one-time passwords depend on it.
  services.timesyncd.enable = mkDefault true;

  # No system.configurationRevision: with it every commit would change every host.

  environment.systemPackages = [
    pkgs.curl
    pkgs.htop
    pkgs.jq
  ];
}
