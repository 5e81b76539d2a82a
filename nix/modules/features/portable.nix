# A machine with a battery and a lid: power profiles, sleep, and what happens when the lid shuts.
{ config, lib, ... }:
let
  cfg = config.aether.features.portable;
in
{
  options.aether.features.portable = {
    enable = lib.mkEnableOption "battery, lid and power profiles";
    hibernateAfter = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = null;
      example = "2h";
      description = "Write memory to the encrypted swap file after so long asleep; null: sleep only. Needs swap of the memory's size.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.hibernateAfter == null || config.aether.features.disk.swap > 0;
        message = "aether.features.portable.hibernateAfter needs somewhere to write memory to: set aether.features.disk.swap to the machine's memory in GiB.";
      }
    ];
    # Plasma's power settings speak to this one; TLP would fight it.
    services.power-profiles-daemon.enable = lib.mkDefault true;
    services.tlp.enable = false;
    services.thermald.enable = lib.mkDefault true;
    services.upower.enable = lib.mkDefault true;
    services.logind.settings.Login = {
      HandleLidSwitch = if cfg.hibernateAfter == null then "suspend" else "suspend-then-hibernate";
      HandleLidSwitchExternalPower = "suspend";
      HandleLidSwitchDocked = "ignore";
    };
    systemd.sleep.settings.Sleep = lib.mkIf (cfg.hibernateAfter != null) {
      HibernateDelaySec = cfg.hibernateAfter;
    };
    # Inside a session Plasma's power management holds the lid, and logind's settings above are for the login screen.
    environment.etc."xdg/powerdevilrc" =
      lib.mkIf (config.aether.features.plasma.enable && cfg.hibernateAfter != null)
        {
          # 3 is "standby, then hibernate" (PowerDevil's SleepMode).
          text = ''
            [Battery][SuspendAndShutdown]
            SleepMode=3

            [LowBattery][SuspendAndShutdown]
            SleepMode=3
          '';
        };
    aether.persist.directories = [ "/var/lib/power-profiles-daemon" ];
    aether.persist.volatile."/var/lib/upower" = "battery history, which it collects again";
  };
}
