# The address of the inventory by systemd-networkd: static, or (`dhcp`) asked of the router, which has it reserved for the
# host's card. A name and an address belong together in one place either way.
{
  config,
  lib,
  aether,
  ...
}:
let
  cfg = config.aether.network;
  inherit (aether) host;
  network = aether.inventory.networkOf host;

  withPrefix = address: cidr: "${address}/${lib.last (lib.splitString "/" cidr)}";
  # IPv6 of an interface: a static address, "auto" for router advertisements, or null.
  addresses6 =
    address6: its:
    lib.optional (address6 != null && address6 != "auto") (withPrefix address6 its.cidr6);
  advertised = address6: its: address6 == "auto" || (address6 != null && !(its ? gateway6));
  mtu = its: lib.optionalAttrs (its ? mtu) { MTUBytes = toString its.mtu; };

  address6 = host.address6 or null;
  dhcp = host.dhcp or false;

  # The guest's further interfaces, in Proxmox's order: its second card is net1.
  further = lib.imap1 (index: interface: {
    # Before the main one, whose globs match every card.
    name = "04-net${toString index}";
    value =
      let
        its = aether.inventory.networks.${interface.network};
        its6 = interface.address6 or null;
      in
      {
        matchConfig =
          if config.aether.platform == "proxmox-lxc" then
            { Name = "eth${toString index}"; }
          else
            # q35 gives the cards of a VM these slots of its first bridge, in order: net0 is 18.
            { Path = "pci-0000:06:${lib.toHexString (18 + index)}.0"; };
        address =
          lib.optional (interface ? address) (withPrefix interface.address its.cidr) ++ addresses6 its6 its;
        networkConfig = {
          DHCP = if interface ? address then "no" else "ipv4";
          IPv6AcceptRA = advertised its6 its;
        };
        # The default route is the first interface's.
        dhcpV4Config.UseGateway = false;
        ipv6AcceptRAConfig.UseGateway = false;
        linkConfig = {
          RequiredForOnline = "no";
        }
        // mtu its;
      };
  }) (host.interfaces or [ ]);
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
    # The first file that matches counts, and cloud-init's is called 10-cloud-init-*: ours come before it.
    systemd.network.networks = lib.listToAttrs further // {
      "05-main" = {
        matchConfig.Name = cfg.interface;
        address =
          lib.optional (!dhcp) (withPrefix host.address network.cidr) ++ addresses6 address6 network;
        routes =
          lib.optional (!dhcp) { Gateway = network.gateway; }
          ++ lib.optional (address6 != null && address6 != "auto" && network ? gateway6) {
            Gateway = network.gateway6;
          };
        dns = cfg.dns;
        domains = [ aether.site.domain ];
        networkConfig =
          lib.optionalAttrs (address6 != null) { IPv6AcceptRA = advertised address6 network; }
          // lib.optionalAttrs dhcp { DHCP = "ipv4"; };
        dhcpV4Config = lib.mkIf dhcp {
          # The reservation is of the card, whatever system asks: image, this one, the one before.
          ClientIdentifier = "mac";
          # Resolvers and names are the inventory's.
          UseDNS = false;
          UseHostname = false;
        };
        linkConfig = {
          RequiredForOnline = "routable";
        }
        // mtu network;
      };
    };
  };
}
