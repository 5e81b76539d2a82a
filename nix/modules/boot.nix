# Boot: systemd-boot, and boot counting where a machine must come back by itself. An entry that fails three times
# is passed over for the generation before it.
{ config, lib, ... }:
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
