# The facts of inventory/*.toml, merged. inventory/models.py is the contract and validates; this only reads.
# `environment` is the site's name of an overlay, whose hosts see that file alone; the others see every file without a base.
{
  root,
  environment ? null,
}:
let
  files = import ./files.nix;
  net = import ./net.nix;
  overlay = import ./overlay.nix;
  dir = root + "/inventory";
  read = name: fromTOML (builtins.readFile (dir + "/${name}"));
  tomls = builtins.filter (files.hasSuffix ".toml") (builtins.attrNames (builtins.readDir dir));
  written = map read tomls;
  whole = builtins.filter (file: !(file ? base)) written;
  laidOver = map (file: overlay (read file.base) file) (builtins.filter (file: file ? base) written);
  parsed =
    if environment == null then
      whole
    else
      builtins.filter (file: file.site.name == environment) laidOver;
  # In an environment the base's name of a host means the one that stands for it.
  standing = builtins.listToAttrs (
    builtins.filter (pair: pair.name != null) (
      map (name: {
        name = hosts.${name}.stands_for or null;
        value = name;
      }) (builtins.attrNames hosts)
    )
  );
  hosts = table "hosts";
  table = name: builtins.foldl' (all: one: all // (one.${name} or { })) { } parsed;
in
rec {
  networks = table "networks";
  nodes = table "nodes";
  inherit hosts;

  # The environments beside this one, by the names of their sites.
  environments = map (file: file.site.name) laidOver;

  # The name that a host has in this environment.
  nameOf = name: if hosts ? ${name} then name else standing.${name} or name;

  # A host's facts, by either name.
  host = name: hosts.${nameOf name};

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
        probe = "/";
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
      name =
        if full.public then
          "${full.subdomain}.${site.public_domain}"
        else
          "${full.subdomain}.${site.domain}";
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

  # The same realm by the name that only the homelab knows: for who must ask it whatever the world's authority says.
  issuerInside = "https://${services.auth.fqdn}/realms/homelab";

  # The `[site]` of the file that holds a host; of the homelab for a name that no file holds (images).
  siteOf =
    name:
    let
      holding = builtins.filter (file: (file.hosts or { }) ? ${nameOf name}) parsed;
      homelab = builtins.filter (file: file.site.name == "homelab") parsed;
    in
    (builtins.head (holding ++ homelab ++ parsed)).site;

  # The fleet's binary cache that a host takes its systems from; null where its file has none.
  cacheOf =
    name:
    let
      holding = builtins.filter (file: (file.hosts or { }) ? ${nameOf name}) parsed;
    in
    if holding == [ ] then null else (builtins.head holding).cache or null;

  fqdn = name: "${nameOf name}.${(siteOf name).domain}";

  # Address of a host or of a Proxmox node.
  address =
    name:
    (hosts.${nameOf name} or nodes.${name} or (throw ''
      '${name}' is neither a host nor a node of the inventory.
      Add it to inventory/homelab.toml as [hosts.${name}], or correct the name.${
        if environment == null then
          ""
        else
          " In environment '${environment}': add it to hosts or shared of [overlay]."
      }
    '')
    ).address;

  # Relays by purpose of the cloud that a machine is in beside the public gateway; none for any other.
  relaysOf =
    name:
    let
      holding = builtins.filter (
        file: (file.hosts or { }) ? ${name} && file ? cloud && file.cloud.gateway != name
      ) parsed;
    in
    builtins.foldl' (all: file: all // (file.cloud.relays or { })) { } holding;

  # All relays by purpose: the homelab's end of the tunnel has each.
  relays = builtins.foldl' (all: file: all // (file.cloud.relays or { })) { } parsed;

  # Where a host finds a port of another: there, or, from the cloud, at the relay of the public gateway beside it.
  way =
    from: to: port:
    let
      found = builtins.filter (relay: relay.host == to && relay.port == port) (
        builtins.attrValues (relaysOf from)
      );
      gateways = builtins.filter (file: (file.hosts or { }) ? ${from}) parsed;
    in
    if found == [ ] then
      {
        relayed = false;
        address = address to;
        inherit port;
      }
    else
      {
        relayed = true;
        address = address (builtins.head gateways).cloud.gateway;
        port = (builtins.head found).listen;
      };

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

  # Groups of people who deploy a part of the fleet (Deployers in models.py).
  deployers = table "deployers";

  # Those that deploy a host, by name. Whether it is deployed without being root is its own affair.
  deployersOf =
    name:
    builtins.filter (
      group:
      builtins.elem (nameOf name) (deployers.${group}.hosts or [ ])
      || builtins.any (tag: builtins.elem tag (deployers.${group}.tags or [ ])) (
        hosts.${nameOf name}.tags or [ ]
      )
    ) (builtins.attrNames deployers);

  tagged = tag: hostsWhere (host: builtins.elem tag (host.tags or [ ]));

  # Who syncs SharedHome with a host, by name.
  peersOf = name: removeAttrs (hostsWhere (host: host ? syncthing_id)) [ name ];

  # The hosts in a network, by name.
  inNetwork = network: hostsWhere (host: net.contains networks.${network}.cidr host.address);
}
