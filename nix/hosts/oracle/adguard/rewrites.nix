# The homelab's names, all from the inventory: hosts and nodes at their own address, web services at the gateway,
# which holds their certificates. A host's name must therefore not be a service's as well. So are the cluster's, whatever it serves.
{ lib, aether, ... }:
let
  inherit (aether) hosts nodes services;
  inherit (aether.lib) cluster;
  gateway = aether.inventory.address "gateway";

  machines = lib.mapAttrs' (name: host: lib.nameValuePair (aether.inventory.fqdn name) host.address) (
    nodes // hosts
  );
  inside = lib.mapAttrs' (_: service: lib.nameValuePair service.fqdn gateway) services;
  # At home the public names lead to the same gateway, without a way round through the Internet.
  outside = lib.mapAttrs' (_: service: lib.nameValuePair service.publicFqdn gateway) (
    lib.filterAttrs (_: service: service.public) services
  );

  # A name of its own, although the other one means it, too: that is what people read in the query log.
  kubernetes = lib.optionalAttrs (cluster != null) {
    ${cluster.api.name} = gateway;
    "*.${cluster.domain}" = gateway;
  };

  taken = lib.filterAttrs (_: service: machines ? ${service.fqdn}) services;
in
{
  assertions = lib.mapAttrsToList (name: service: {
    assertion = false;
    message = ''
      ${service.fqdn} is the name of a host and of service '${name}': DNS would answer with both.
      Give the service another one in the inventory:
          [services.${name}]
          subdomain = "${name}-web"'';
  }) taken;

  services.adguardhome.settings.filtering = {
    rewrites_enabled = true;
    rewrites = lib.mapAttrsToList (domain: answer: {
      inherit domain answer;
      enabled = true;
    }) (machines // inside // outside // kubernetes);
  };

  # Names instead of addresses in the query log.
  services.adguardhome.settings.clients = {
    runtime_sources = {
      arp = true;
      rdns = true;
      hosts = false;
      dhcp = false;
      # Private addresses are nobody's business at a public service.
      whois = false;
    };
    persistent = lib.mapAttrsToList (name: host: {
      inherit name;
      ids = [ host.address ];
      use_global_settings = true;
      use_global_blocked_services = true;
      # DNS is what these need first; a wrong filter must not take down the servers.
      filtering_enabled = true;
    }) (nodes // hosts);
  };
}
