# Boot: systemd-boot, and boot counting where a machine must come back by itself. An entry that fails three times
# is passed over for the generation before it.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.aether.boot;
in
{
  options.aether.boot = {
    counting = lib.mkEnableOption "boot counting by systemd-boot";
    generations = lib.mkOption {
      type = lib.types.ints.positive;
      default = 10;
      description = "Generations in the boot menu to go back to.";
    };
  };

  config = lib.mkIf cfg.counting {
    # What cannot be switched to is booted for a trial (components/nixos/scripts/arm-boot.sh).
    systemd.services.aether-boot-trial = {
      description = "Boots back where a deployment's trial boot is not confirmed";
      wantedBy = [ "multi-user.target" ];
      # From the first moment on, so that a boot that hangs anywhere is left again.
      after = [ "systemd-remount-fs.service" ];
      before = [ "shutdown.target" ];
      conflicts = [ "shutdown.target" ];
      unitConfig = {
        DefaultDependencies = false;
        RequiresMountsFor = "/var/lib/aether";
        ConditionPathExists = "/var/lib/aether/boot-trial";
      };
      path = [
        config.systemd.package
        pkgs.bash
        pkgs.util-linux
      ];
      # A switch is no boot.
      restartIfChanged = false;
      # A target that waited for it would be up when the trial is over.
      serviceConfig.Type = "exec";
      scriptArgs = "/var/lib/aether/boot-trial ${toString (lib.head config.services.openssh.ports)}";
      script = builtins.readFile ./boot-trial.sh;
    };
    boot.loader = {
      systemd-boot = {
        enable = true;
        configurationLimit = lib.mkDefault cfg.generations;
        editor = false;
        bootCounting.enable = true;
        bootCounting.tries = lib.mkDefault 3;
      };
      efi.canTouchEfiVariables = lib.mkDefault false;
      timeout = lib.mkDefault 3;
    };
    boot.initrd.systemd.enable = lib.mkDefault true;
  };
}
