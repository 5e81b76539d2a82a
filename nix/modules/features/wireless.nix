# Networks that come and go: NetworkManager, with the passwords that people type into it.
{
  config,
  lib,
  aether,
  ...
}:
let
  operator = config.aether.users.operator;
  mac = aether.host.mac or null;
  # Second digit 2, 6, a or e: made up by people, so no card came with it.
  madeUp = builtins.match ".[26ae]:.*" mac != null;
in
{
  options.aether.features.wireless.enable =
    lib.mkEnableOption "networks chosen by whoever sits at the machine";

  config = lib.mkIf config.aether.features.wireless.enable {
    networking = {
      useDHCP = false;
      networkmanager = {
        enable = true;
        # A card's own address follows its owner from network to network. But where the inventory knows the card, the router
        # has reserved the host's address for it; a made-up one is put on.
        wifi.macAddress = lib.mkDefault (
          if mac == null then
            "stable-ssid"
          else if madeUp then
            mac
          else
            "permanent"
        );
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
