# The web services of the inventory, from a host's point of view: what this host must offer to the gateway.
# `[services.NAME]` with `host = "<this host>"` opens the port to the gateway and asserts that somebody listens.
{
  config,
  lib,
  aether,
  ...
}:
let
  mine = lib.filterAttrs (_: service: service.host == aether.name) aether.services;
in
{
  options.aether.web = {
    services = lib.mkOption {
      type = lib.types.attrsOf lib.types.attrs;
      readOnly = true;
      default = mine;
      defaultText = lib.literalMD "services of the inventory on this host";
      description = "Facts of this host's web services: port, scheme, login, public, fqdn, publicFqdn, address.";
    };
    gateway = lib.mkOption {
      type = lib.types.str;
      default = "gateway";
      description = "Host that proxies them, and that alone may connect.";
    };
    issuer = lib.mkOption {
      type = lib.types.str;
      default = aether.inventory.issuer;
      defaultText = lib.literalMD "realm homelab at the name of service `auth`";
      description = "OIDC issuer: the realm of Keycloak, under the same name inside and outside.";
    };
    clients = lib.mkOption {
      type = lib.types.attrsOf lib.types.attrs;
      readOnly = true;
      default = (aether.lib.hosts.exports aether.name).clients;
      defaultText = lib.literalMD "`clients` of the host's exports.nix";
      description = "OIDC clients of this host, by client id: redirects, roles, public. Host keycloak makes them.";
    };
  };

  config.aether.firewall.allow = lib.mapAttrs' (
    name: service:
    lib.nameValuePair "web-${name}" {
      tcp = [ service.port ];
      from = lib.mkDefault [ config.aether.web.gateway ];
    }
  ) mine;
}
