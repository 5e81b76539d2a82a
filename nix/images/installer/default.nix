# Installer for one machine: a live system that holds the machine's whole closure, so that it needs no network, and its
# disko script, which works on a link that exists only after somebody typed the serial of the disk to erase.
{
  lib,
  systems,
  host,
}:
let
  target = host.config;
  name = target.networking.hostName;
  installer = systems.mkSystem {
    name = "installer-${name}";
    host = {
      kind = "nixos-metal";
      security = "relaxed";
    };
    module =
      { pkgs, modulesPath, ... }:
      let
        aether-install = pkgs.writeShellApplication {
          name = "aether-install";
          runtimeInputs = [
            pkgs.coreutils
            pkgs.gnugrep
            pkgs.jq
            pkgs.nixos-install
            pkgs.openssh
            pkgs.ssh-to-age
            pkgs.util-linux
          ];
          runtimeEnv = {
            AETHER_HOST = name;
            AETHER_SYSTEM = "${target.system.build.toplevel}";
            AETHER_ERASE = "${target.system.build.diskoScript}";
            AETHER_MOUNT = "${target.system.build.mountScript}";
            AETHER_IDENTITY =
              if target.aether.features.ephemeral.enable then target.aether.features.ephemeral.store else "";
            AETHER_HOST_KEY = target.programs.ssh.knownHosts.${name}.publicKey;
          };
          text = builtins.readFile ./install.sh;
        };
      in
      {
        imports = [ (modulesPath + "/installer/cd-dvd/installation-cd-minimal.nix") ];
        # A machine that nobody is yet, in the hand of whoever booted it.
        aether = {
          otel.enable = false;
          network.enable = false;
          users.passwordSecret = null;
        };
        disko.enableConfig = false;
        networking.hostName = lib.mkForce "installer";
        # The live medium logs its user in by itself, with an empty password at the console alone.
        services.openssh.settings.PermitRootLogin = lib.mkForce "prohibit-password";
        networking.firewall.logRefusedConnections = false;
        services.fail2ban.enable = false;
        security.audit.enable = false;
        security.auditd.enable = false;
        environment.systemPackages = [ aether-install ];
        isoImage.storeContents = [
          target.system.build.toplevel
          target.system.build.diskoScript
          target.system.build.mountScript
        ];
        isoImage.edition = lib.mkForce name;
        services.getty.helpLine = ''
          This medium installs ${name}. It changes no disk by itself.
          Start with: sudo aether-install
        '';
      };
  };
in
installer.config.system.build.isoImage
