# Tailscale: subnet router for all networks of the homelab. Who may go where is in tailscale-acl.json, which the owner
# applies to the tailnet; it approves these routes by itself.
{
  config,
  lib,
  aether,
  ...
}:
let
  # The name of a machine is its tag: tailscale-acl.json gives rights to those.
  tag = "tag:${aether.name}";
  # Networks whose router is the homelab's own; those of a cloud are routed there.
  here = lib.filterAttrs (
    name: _: lib.any (host: host.kind != "cloud-vm") (lib.attrValues (aether.inventory.inNetwork name))
  ) aether.networks;
in
{
  options.aether.tailscale.routes = lib.mkOption {
    type = lib.types.listOf lib.types.str;
    readOnly = true;
    default = lib.mapAttrsToList (_: network: network.cidr) here;
    defaultText = lib.literalMD "networks of the homelab";
    description = "Routes that this host offers to the tailnet.";
  };

  config = {
    aether.secrets.tailscale-auth-key = { };
    services.tailscale = {
      enable = true;
      authKeyFile = config.sops.secrets.tailscale-auth-key.path;
      useRoutingFeatures = "server";
      extraUpFlags = [ "--advertise-tags=${tag}" ];
      extraSetFlags = [
        "--advertise-routes=${lib.concatStringsSep "," config.aether.tailscale.routes}"
        "--accept-dns=false"
      ];
    };
    # Direct connections instead of relays.
    aether.firewall.allow.tailscale.udp = [ config.services.tailscale.port ];
  };
}
