# Cloud workstation: the owner's environment on a rented machine, for when none of his own is at hand. By terminal:
# what needs a screen is at home.
{
  imports = [
    ../../images/amazon.nix
    ../../profiles/toolchains.nix
  ];
  aether.features = {
    containers.enable = true;
    home.enable = true;
    memory.enable = true;
  };
  # Passwords are for machines that only their owner reaches; this one stands in the internet.
  services.openssh.settings.PasswordAuthentication = false;
  services.fail2ban.enable = true;
}
