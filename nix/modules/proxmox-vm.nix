# A VM on Proxmox: virtio, UEFI with systemd-boot, serial console, guest agent, cloud-init for the host key alone.
{
  config,
  lib,
  modulesPath,
  ...
}:
let
  inherit (lib) mkDefault;
in
{
  imports = [ (modulesPath + "/profiles/qemu-guest.nix") ];

  config = lib.mkIf (config.aether.platform == "proxmox-vm") {
    services.qemuGuest.enable = mkDefault true;
    boot.kernelParams = [ "console=ttyS0,115200" ];
    boot.initrd.availableKernelModules = [
      "sd_mod"
      "sr_mod"
      "virtio_scsi"
    ];
    aether.boot.counting = mkDefault true;
    # Names and addresses come from the inventory; only the SSH host key must reach the machine before its first
    # connection, and cloud-init's `ssh` module is how.
    services.cloud-init = {
      enable = mkDefault true;
      network.enable = mkDefault false;
      settings = {
        preserve_hostname = true;
        # The image's first boot alone takes its network from Proxmox.
        network.config = mkDefault "disabled";
        ssh_deletekeys = false;
        datasource_list = [
          "NoCloud"
          "ConfigDrive"
        ];
        cloud_init_modules = [
          "migrator"
          "seed_random"
          "write-files"
        ];
        cloud_config_modules = [ "ssh" ];
        cloud_final_modules = [ "final-message" ];
      };
    };
    services.fstrim.enable = mkDefault true;
    zramSwap.enable = mkDefault true;
  };
}
