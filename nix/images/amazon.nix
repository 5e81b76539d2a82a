# A machine at AWS, running or as an image: nixpkgs' module knows its disks, its console and where user data carries
# the SSH host key. What it runs is decided by a deploy, never by user data.
{
  lib,
  modulesPath,
  aether,
  ...
}:
let
  # AWS names its ARM instances with a g behind the generation: t4g, m7g, c7gn.
  isArm = builtins.match "[a-z]+[0-9]+g[a-z]*\\..*" (aether.host.instance_type or "") != null;
in
{
  imports = [ (modulesPath + "/virtualisation/amazon-image.nix") ];
  nixpkgs.hostPlatform = if isArm then "aarch64-linux" else "x86_64-linux";
  networking.hostName = aether.name;
  virtualisation.amazon-init.enable = false;
  networking.useNetworkd = lib.mkDefault true;
}
