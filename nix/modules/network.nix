# The address of the inventory, static, by systemd-networkd. No DHCP: a name and an address belong together
# in one place.
{
  config,
  lib,
  aether,
  ...
}:
let
  cfg = config.aether.network;
  inherit (aether.host) address;
  network = aether.inventory.networkOf aether.host;
in
{
  options.aether.network = {
    enable = lib.mkOption {
      type = lib.types.bool;
      default = lib.hasPrefix "proxmox-" config.aether.platform;
      defaultText = lib.literalMD "true for guests of Proxmox";
      description = "Configure the main interface with the inventory's address.";
    };
    interface = lib.mkOption {
      type = lib.types.str;
      default = if config.aether.platform == "proxmox-lxc" then "eth0" else "en* eth*";
      defaultText = lib.literalMD "`eth0` in a container, `en* eth*` in a VM";
      description = "Name or globs of the main interface (systemd.network, Match.Name).";
    };
    dns = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = network.nameservers or [ network.gateway ];
      defaultText = lib.literalMD "`nameservers` of the inventory's network, else its gateway";
      description = "Resolvers, in order.";
    };
  };

  config = lib.mkIf cfg.enable {
    networking.useDHCP = lib.mkDefault false;
    networking.useNetworkd = lib.mkDefault true;
    # What the image's cloud-init wrote for the first contact says nothing any more.
    systemd.tmpfiles.rules = [ "r /etc/systemd/network/10-cloud-init-*.network" ];
    # The first file that matches counts, and cloud-init's is called 10-cloud-init-*: ours comes before it.
    systemd.network.networks."05-main" = {
      matchConfig.Name = cfg.interface;
      address = [ "${address}/${toString (aether.lib.net.prefixLength network.cidr)}" ];
      routes = [ { Gateway = network.gateway; } ];
      dns = cfg.dns;
      domains = [ aether.site.domain ];
      linkConfig.RequiredForOnline = "routable";
    };
  };
}
