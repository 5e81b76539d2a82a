# The document's security table: disk (storage.nix), boot, firewall (nftables, for every host), updates (generations),
# audit. Carried around, so more than `relaxed` asks for.
{ pkgs, ... }:
{
  services.openssh.settings.PasswordAuthentication = false;
  security.auditd.enable = true;
  security.audit = {
    enable = true;
    rules = [
      "-w /etc/shadow -p wa -k identity"
      "-w /etc/sudoers -p wa -k privilege"
      "-w /boot/efi -p wa -k boot"
      "-a always,exit -F arch=b64 -S init_module,finit_module,delete_module -k modules"
    ];
  };
  # A watch does not follow onto a file system that is mounted later.
  systemd.services.audit-rules-nixos.unitConfig.RequiresMountsFor = "/boot/efi";
  # Secure Boot is optional: keys are made and enrolled by hand with this (docs/bifrost/runbook.md).
  environment.systemPackages = [ pkgs.sbctl ];
}
