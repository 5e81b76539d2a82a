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
  # The disk that outlives the machine (components/aws/data_disk.py). It comes once the machine runs, so a boot does not wait
  # for ever; what is kept on it waits for its mount. Formatted when it is empty, and never again.
  fileSystems = lib.optionalAttrs (aether.host ? data) {
    ${aether.host.data.mount} = {
      device = "/dev/sdf";
      fsType = "ext4";
      autoFormat = true;
      options = [
        "noatime"
        "nosuid"
        "nodev"
        "nofail"
        "x-systemd.device-timeout=2min"
      ];
    };
  };
  networking.useNetworkd = lib.mkDefault true;
}
