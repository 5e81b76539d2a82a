# Networks that come and go: NetworkManager, with the passwords that people type into it.
{ config, lib, ... }:
let
  operator = config.aether.users.operator;
in
{
  options.aether.abilities.wireless.enable =
    lib.mkEnableOption "networks chosen by whoever sits at the machine";

  config = lib.mkIf config.aether.abilities.wireless.enable {
    networking = {
      useDHCP = false;
      networkmanager = {
        enable = true;
        # A card's own address follows its owner from network to network.
        wifi.macAddress = lib.mkDefault "stable-ssid";
        wifi.powersave = lib.mkDefault true;
      };
    };
    users.users.${operator}.extraGroups = [ "networkmanager" ];
    services.resolved.enable = lib.mkDefault true;
    # A roaming machine must not wait for a network to boot.
    systemd.services.NetworkManager-wait-online.enable = false;

    aether.persist.directories = [
      {
        directory = "/etc/NetworkManager/system-connections";
        mode = "0700";
      }
      "/var/lib/NetworkManager"
    ];
  };
}
