# What an installation has to know of a host before it touches the machine. Applied to its entry of nixosConfigurations.
{ config, pkgs, ... }:
let
  disks = builtins.mapAttrs (_: disk: disk.device) (config.disko.devices.disk or { });
  ephemeral = config.aether.features.ephemeral or { enable = false; };
  loader = config.boot.loader;
in
{
  inherit disks;
  platform = pkgs.stdenv.hostPlatform.system;
  efi = loader.systemd-boot.enable || loader.grub.efiSupport || loader.efi.canTouchEfiVariables;
  # disko asks for a passphrase, and so does every boot.
  encrypted = config.boot.initrd.luks.devices != { };
  # Where a root that is empty at every boot really keeps its files.
  store = if ephemeral.enable then ephemeral.store else "";
  hostKey = (builtins.head config.services.openssh.hostKeys).path;
  # Evaluated now: an error in them must not be found once the disks are erased.
  derivations =
    if disks == { } then
      [ ]
    else
      [
        config.system.build.diskoScript.drvPath
        config.system.build.toplevel.drvPath
      ];
}
