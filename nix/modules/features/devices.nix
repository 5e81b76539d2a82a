# What people plug in or pair: Bluetooth, printers, firmware updates of the machine itself.
{ config, lib, ... }:
let
  cfg = config.aether.features;
in
{
  options.aether.features = {
    bluetooth.enable = lib.mkEnableOption "Bluetooth";
    printing.enable = lib.mkEnableOption "printing, without drivers: IPP Everywhere";
    firmware.enable = lib.mkEnableOption "firmware updates by fwupd";
  };

  config = lib.mkMerge [
    (lib.mkIf cfg.bluetooth.enable {
      hardware.bluetooth.enable = true;
      hardware.bluetooth.powerOnBoot = lib.mkDefault true;
      # Pairing keys.
      aether.persist.directories = [
        {
          directory = "/var/lib/bluetooth";
          mode = "0700";
        }
      ];
    })
    (lib.mkIf cfg.printing.enable {
      services.printing.enable = true;
      services.avahi = {
        enable = true;
        nssmdns4 = true;
        # Printers are looked for by multicast; nothing is offered.
        openFirewall = false;
        publish.enable = false;
      };
      aether.firewall.allow.mdns = {
        udp = [ 5353 ];
        from = [ "clients" ];
      };
      aether.persist.directories = [ "/var/lib/cups" ];
    })
    (lib.mkIf cfg.firmware.enable {
      services.fwupd.enable = true;
      hardware.enableRedistributableFirmware = true;
      aether.persist.directories = [ "/var/lib/fwupd" ];
      aether.persist.volatile."/var/cache/fwupd" = "metadata, downloaded again";
    })
  ];
}
