# Whom to ask, from the inventory: pure functions from facts to Prometheus' static_configs.
{ lib, aether }:
let
  inherit (aether) hosts nodes inventory;

  # Machines that people switch off are worth a graph, not an alarm.
  uptime = host: if (host.network or "servers") == "clients" then "sometimes" else "always";

  labelsOf =
    name: facts:
    {
      host = name;
      kind = facts.kind or "node";
      uptime = uptime facts;
    }
    // lib.optionalAttrs (facts ? node) { inherit (facts) node; };

  at = facts: port: "${facts.address}:${toString port}";

  target = name: facts: address: {
    targets = [ address ];
    labels = labelsOf name facts;
  };

  # The exporters that each NixOS host at home says it has (exports.nix); one elsewhere tells its metrics itself.
  declared = lib.mapAttrs (_: offer: offer.exporters) (
    lib.filterAttrs (name: offer: offer.watched && home ? ${name}) (
      lib.mapAttrs (name: _: aether.lib.hosts.exports name) aether.lib.hosts.nixos
    )
  );

  # What Ansible's role host_monitoring_agent runs on the Proxmox nodes; disks are in the node exporter's text files.
  ofNode = facts: { node = 9100; } // lib.optionalAttrs (facts.pve_exporter or false) { pve = 9221; };

  home = lib.filterAttrs (name: _: (inventory.siteOf name).name == aether.site.name) hosts;
in
{
  inherit declared;

  # Exporter name -> static_configs of everybody who has it.
  exporters =
    let
      ofMachine = name: facts: lib.mapAttrs (_: port: [ (target name facts (at facts port)) ]);
    in
    lib.zipAttrsWith (_: lib.concatLists) (
      lib.mapAttrsToList (name: ofMachine name hosts.${name}) declared
      ++ lib.mapAttrsToList (name: facts: ofMachine name facts (ofNode facts)) nodes
    );

  # Everything with an address at home, for ICMP.
  machines = lib.mapAttrsToList (name: facts: target name facts facts.address) (nodes // home);

  # TCP health checks of hosts that Nix does not configure: there is no exporter to ask.
  ports = lib.concatLists (
    lib.mapAttrsToList (
      name: facts:
      map (check: target name facts (at facts check.tcp)) (
        lib.filter (check: check ? tcp) (facts.health or [ ])
      )
    ) (lib.filterAttrs (name: _: !(aether.lib.hosts.nixos ? ${name})) home)
  );

  # Web services as people reach them: by name, through the gateway.
  web =
    {
      fqdn,
      path,
      only,
    }:
    lib.mapAttrsToList (name: service: {
      targets = [ "https://${service.${fqdn}}${path service}" ];
      labels = {
        service = name;
        inherit (service) host;
      };
    }) (lib.filterAttrs (_: only) aether.services);
}
