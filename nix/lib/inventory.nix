# The facts of inventory/*.toml, merged. inventory/models.py is the contract and validates; this only reads.
{ root }:
let
  files = import ./files.nix;
  net = import ./net.nix;
  dir = root + "/inventory";
  tomls = builtins.filter (files.hasSuffix ".toml") (builtins.attrNames (builtins.readDir dir));
  parsed = map (name: fromTOML (builtins.readFile (dir + "/${name}"))) tomls;
  table = name: builtins.foldl' (all: one: all // (one.${name} or { })) { } parsed;
in
rec {
  networks = table "networks";
  nodes = table "nodes";
  hosts = table "hosts";

  # Web services with their defaults filled in (Service in models.py) and their full names.
  services = builtins.mapAttrs (
    name: service:
    let
      site = siteOf service.host;
      full = {
        subdomain = name;
        scheme = "http";
        login = "proxy";
        public = false;
        description = name;
      }
      // service;
    in
    full
    // {
      fqdn = "${full.subdomain}.${site.domain}";
      publicFqdn = "${full.subdomain}.${site.public_domain}";
      address = address service.host;
      # The one name that is the same inside and outside: the public one of a service that has it.
      name = if full.public then "${full.subdomain}.${site.public_domain}" else "${full.subdomain}.${site.domain}";
      # Every name that it is asked for by.
      names = [
        "${full.subdomain}.${site.domain}"
      ]
      ++ (if full.public then [ "${full.subdomain}.${site.public_domain}" ] else [ ]);
    }
  ) (table "services");

  # Who says who everyone is: one address in every token, whether asked from inside (the resolver answers with the
  # gateway) or from outside (by the public gateway).
  issuer = "https://${services.auth.name}/realms/homelab";

  # The `[site]` of the file that holds a host; of the homelab for a name that no file holds (images).
  siteOf =
    name:
    let
      holding = builtins.filter (file: (file.hosts or { }) ? ${name}) parsed;
      homelab = builtins.filter (file: file.site.name == "homelab") parsed;
    in
    (builtins.head (holding ++ homelab ++ parsed)).site;

  fqdn = name: "${name}.${(siteOf name).domain}";

  # Address of a host or of a Proxmox node.
  address =
    name:
    (hosts.${name} or nodes.${name} or (throw ''
      '${name}' is neither a host nor a node of the inventory.
      Add it to inventory/homelab.toml as [hosts.${name}], or correct the name.
    '')
    ).address;

  # The network a host is in (HostFacts.network defaults to "servers").
  networkOf = host: networks.${host.network or "servers"};

  # CIDRs meant by a name: a network, a host, a node, or a CIDR written out.
  cidrs =
    name:
    if networks ? ${name} then
      [ networks.${name}.cidr ]
    else if builtins.match "[0-9./]+" name != null then
      [ name ]
    else
      [ "${address name}/32" ];

  # Hosts that satisfy a predicate on their facts, by name.
  hostsWhere =
    predicate:
    builtins.listToAttrs (
      builtins.concatMap (
        name:
        if predicate hosts.${name} then
          [
            {
              inherit name;
              value = hosts.${name};
            }
          ]
        else
          [ ]
      ) (builtins.attrNames hosts)
    );

  tagged = tag: hostsWhere (host: builtins.elem tag (host.tags or [ ]));

  # Who syncs SharedHome with a host, by name.
  peersOf = name: removeAttrs (hostsWhere (host: host ? syncthing_id)) [ name ];

  # The hosts in a network, by name.
  inNetwork = network: hostsWhere (host: net.contains networks.${network}.cidr host.address);
}
