# The VM of `nix run`: development profile with a desktop, for whoever has no hardware to spare. Only its own user
# reaches it, so it asks for no password.
{ config, ... }:
let
  operator = config.aether.users.operator;
in
{
  imports = [
    ./common.nix
    ../../profiles/dev.nix
  ];
  aether.features.containers.enable = true;
  networking.networkmanager.enable = false;
  services.displayManager.autoLogin = {
    enable = true;
    user = operator;
  };
  users.users.${operator}.initialPassword = "aether";
  security.sudo.wheelNeedsPassword = false;
  virtualisation.vmVariant.virtualisation.graphics = true;
}
