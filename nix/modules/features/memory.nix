# Memory that is short: compressed swap in memory first, the file of the encrypted pool after it.
{ config, lib, ... }:
let
  cfg = config.aether.features.memory;
in
{
  options.aether.features.memory.enable = lib.mkEnableOption "zram, and a watch on memory pressure";

  config = lib.mkIf cfg.enable {
    zramSwap = {
      enable = true;
      algorithm = "zstd";
      memoryPercent = lib.mkDefault 50;
      # Before the swap file, whose work is hibernation.
      priority = 100;
    };
    boot.kernel.sysctl = {
      # Swapping to memory is cheap, and read-ahead of it pointless.
      "vm.swappiness" = lib.mkDefault 150;
      "vm.page-cluster" = lib.mkDefault 0;
    };
    # A desktop that thrashes is worse than one program that ends.
    systemd.oomd = {
      enable = true;
      enableUserSlices = true;
    };
  };
}
