# The Surface: linux-surface's kernel for touch, pen, cameras and sleep; nixpkgs' own as a second entry of each
# generation, for the day when the patched one lags behind or does not start.
{
  lib,
  pkgs,
  aether,
  ...
}:
{
  imports = [ aether.inputs.nixos-hardware.nixosModules.microsoft-surface-pro-intel ];

  hardware.microsoft-surface.kernelVersion = "longterm";
  specialisation.mainline.configuration = {
    boot.kernelPackages = lib.mkForce pkgs.linuxPackages;
    # iptsd speaks to a driver of the patched kernel.
    services.iptsd.enable = lib.mkForce false;
  };

  # The keyboard of the type cover, before the disk is unlocked. Modules load in parallel, and the hub gives up for good
  # where its pins are not there yet (linux-surface#2219): this is the order that a list cannot give.
  boot.extraModprobeConfig = ''
    softdep surface_aggregator pre: pinctrl_tigerlake intel_lpss_pci 8250_dw
  '';
  boot.initrd.kernelModules = [
    "surface_aggregator"
    "surface_aggregator_registry"
    "surface_aggregator_hub"
    "surface_hid_core"
    "surface_hid"
    "8250_dw"
    "intel_lpss"
    "intel_lpss_pci"
    "pinctrl_tigerlake"
  ];
  services.iptsd.config = {
    Touchscreen.DisableOnPalm = true;
    Touchscreen.DisableOnStylus = true;
  };
  environment.systemPackages = [
    pkgs.libcamera
    pkgs.xournalpp
  ];
  # Both halves keep the hardware clock in UTC, as Fedora does.
  time.hardwareClockInLocalTime = false;
}
