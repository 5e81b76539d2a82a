# The VM image: cloud-init gives name, address and SSH host key.
{ lib, ... }:
{
  imports = [ ./common.nix ];
  disko.imageBuilder = {
    name = "nixos-vm-image";
    imageFormat = "qcow2";
  };
  services.cloud-init = {
    network.enable = true;
    settings = {
      preserve_hostname = lib.mkForce false;
      network = lib.mkForce { };
      cloud_init_modules = lib.mkForce [
        "migrator"
        "seed_random"
        "write-files"
        "growpart"
        "resizefs"
        "set_hostname"
        "update_hostname"
      ];
    };
  };
}
