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
      default = "https://${aether.services.auth.fqdn}/realms/homelab";
      description = "OIDC issuer: the realm of Keycloak.";
    };
    clients = lib.mkOption {
      default = { };
      description = "OIDC clients this host needs, by client id; host keycloak makes them from this option of every host.";
      type = lib.types.attrsOf (
        lib.types.submodule {
          options = {
            redirects = lib.mkOption {
              type = lib.types.listOf lib.types.str;
              description = "Allowed redirect URIs.";
            };
            roles = lib.mkOption {
              type = lib.types.listOf lib.types.str;
              default = [ ];
              description = "Client roles to create.";
            };
            public = lib.mkOption {
              type = lib.types.bool;
              default = false;
              description = "A client without a secret (PKCE), for command lines.";
            };
          };
        }
      );
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
