# Other systems on this one: containers to work in (toolbox, distrobox), applications by Flatpak, virtual machines.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.aether.features;
  operator = config.aether.users.operator;
in
{
  options.aether.features = {
    containers.enable = lib.mkEnableOption "rootless containers, toolbox and distrobox";
    flatpak.enable = lib.mkEnableOption "applications by Flatpak, from Flathub";
    virtualisation.enable = lib.mkEnableOption "virtual machines by libvirt";
    orchestration.enable = lib.mkEnableOption "services as Quadlet containers";
  };

  config = lib.mkMerge [
    (lib.mkIf cfg.containers.enable {
      aether.podman.enable = true;
      environment.systemPackages = [
        pkgs.distrobox
        pkgs.toolbox
        pkgs.podman-compose
      ];
      users.users.${operator} = {
        autoSubUidGidRange = true;
        linger = lib.mkDefault true;
      };
      aether.persist.home.directories = [
        ".config/containers"
        ".local/share/containers"
      ];
    })
    (lib.mkIf cfg.flatpak.enable {
      services.flatpak.enable = true;
      # Without a portal an application can neither open nor save a file.
      xdg.portal.enable = true;
      systemd.services.flathub = {
        description = "Flathub as a source of applications";
        wantedBy = [ "multi-user.target" ];
        wants = [ "network-online.target" ];
        after = [ "network-online.target" ];
        path = [ config.services.flatpak.package ];
        script = "flatpak remote-add --if-not-exists flathub https://dl.flathub.org/repo/flathub.flatpakrepo";
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
          # The first network may come long after the boot.
          Restart = "on-failure";
          RestartSec = "5min";
        };
      };
      aether.persist.directories = [ "/var/lib/flatpak" ];
      aether.persist.home.directories = [
        ".local/share/flatpak"
        ".var/app"
      ];
    })
    (lib.mkIf cfg.virtualisation.enable {
      virtualisation.libvirtd = {
        enable = true;
        qemu.swtpm.enable = true;
        onBoot = "ignore";
      };
      programs.virt-manager.enable = config.aether.features.plasma.enable;
      users.users.${operator}.extraGroups = [ "libvirtd" ];
      aether.persist.directories = [ "/var/lib/libvirt" ];
      aether.persist.volatile."/var/lib/swtpm-localca" =
        "certificates of virtual TPMs, made again with the next machine";
    })
    (lib.mkIf cfg.orchestration.enable {
      aether.podman.enable = true;
      virtualisation.quadlet.enable = true;
    })
  ];
}
