# An environment written as its difference from another file: inventory/overlay.py says how, and is held against this by
# tests/nix/test_overlay.py. Mistakes are for `./aether inventory check` to report; this leaves out what it cannot use.
let
  net = import ./net.nix;
  identity = [
    "host_key"
    "age_recipient"
    "syncthing_id"
    "mac"
    "usb"
  ];
  # What is known of a host that another environment looks after.
  sharedFacts = {
    address = null;
    network = null;
    description = null;
    tags = null;
  };
  filterAttrs =
    keep: set:
    removeAttrs set (builtins.filter (name: !keep name set.${name}) (builtins.attrNames set));
  overrideEach =
    under: over: under // builtins.mapAttrs (name: facts: (under.${name} or { }) // facts) over;

  # ADDRESS at the same place of the network as it is now.
  moved =
    address: before: after:
    let
      first = cidr: net.toInteger (builtins.head (net.split "/" cidr));
    in
    if before == null || after == null || before.cidr == after.cidr then
      address
    else
      net.fromInteger (net.toInteger address - first before.cidr + first after.cidr);
in
base: overlay:
let
  said = overlay.overlay or { };
  prefix = said.prefix or "${(overlay.site or { }).name or "overlay"}-";
  baseHosts = base.hosts or { };
  has = list: name: builtins.elem name list;
  chosen = filterAttrs (
    name: facts:
    has (said.hosts or [ ]) name || builtins.any (has (said.tags or [ ])) (facts.tags or [ ])
  ) baseHosts;
  rename = name: if chosen ? ${name} then prefix + name else name;
  shared = builtins.filter (name: baseHosts ? ${name} && !(chosen ? ${name})) (said.shared or [ ]);

  networks = overrideEach (base.networks or { }) (overlay.networks or { });

  inheritedNodes = builtins.mapAttrs (_: facts: facts // { shared = true; }) (base.nodes or { });
  nodes =
    inheritedNodes
    // builtins.mapAttrs (
      name: facts:
      (inheritedNodes.${name} or { })
      // {
        # A node with an address of its own is another machine.
        shared = inheritedNodes ? ${name} && !(facts ? address);
      }
      // facts
    ) (overlay.nodes or { });

  ownFiles = builtins.listToAttrs (
    map (name: {
      name = "hosts/${name}.yaml";
      value = "hosts/${rename name}.yaml";
    }) (builtins.attrNames chosen)
  );

  stands =
    name: inherited:
    let
      facts = removeAttrs inherited identity;
      network = facts.network or "servers";
    in
    facts
    // {
      stands_for = name;
      address = moved facts.address ((base.networks or { }).${network} or null) (
        networks.${network} or null
      );
    }
    // (if facts ? vmid then { vmid = facts.vmid + (said.vmid_offset or 0); } else { })
    // (if facts ? was then { was = prefix + facts.was; } else { })
    // (if facts ? flake then { flake = prefix + facts.flake; } else { })
    // (if said.add_tags or [ ] != [ ] then { tags = (facts.tags or [ ]) ++ said.add_tags; } else { })
    // (
      if facts ? depends_on then
        {
          # Of the base's others only those count that this environment has.
          depends_on = map rename (
            builtins.filter (other: chosen ? ${other} || has shared other) facts.depends_on
          );
        }
      else
        { }
    )
    // (
      if facts ? secrets then { secrets = map (file: ownFiles.${file} or file) facts.secrets; } else { }
    )
    // (if facts ? build_on then { build_on = rename facts.build_on; } else { })
    // (said.set or { })
    // ((overlay.hosts or { }).${name} or { });

  hosts =
    builtins.listToAttrs (
      map (name: {
        inherit name;
        value = {
          kind = "external";
        }
        // builtins.intersectAttrs sharedFacts baseHosts.${name};
      }) shared
      ++ map (name: {
        name = rename name;
        value = stands name chosen.${name};
      }) (builtins.attrNames chosen)
    )
    // filterAttrs (name: _: !(baseHosts ? ${name})) (overlay.hosts or { });

  services =
    let
      inherited = builtins.mapAttrs (_: facts: facts // { host = rename facts.host; }) (
        filterAttrs (_: facts: chosen ? ${facts.host}) (base.services or { })
      );
    in
    builtins.mapAttrs (
      _: facts: if facts ? host then facts // { host = rename facts.host; } else facts
    ) (overrideEach inherited (overlay.services or { }));

  rollout =
    let
      all = (base.rollout or { }) // (overlay.rollout or { });
      named = all.canary or [ ];
      canaries = if builtins.isList named then named else [ named ];
      kept = builtins.filter (name: chosen ? ${name} || !baseHosts ? ${name}) canaries;
    in
    if canaries == [ ] then
      all
    else if kept == [ ] then
      { }
    else
      all // { canary = map rename kept; };

  # The base's groups with those of their hosts that this environment has, and its own.
  deployers =
    filterAttrs (_: facts: facts.hosts != [ ] || facts.tags or [ ] != [ ]) (
      builtins.mapAttrs (
        _: facts:
        facts // { hosts = map rename (builtins.filter (host: chosen ? ${host}) (facts.hosts or [ ])); }
      ) (base.deployers or { })
    )
    // (overlay.deployers or { });

  cloud = (base.cloud or { }) // (overlay.cloud or { });
in
removeAttrs overlay [
  "base"
  "overlay"
  "cloud"
  "deployers"
]
// {
  site = (base.site or { }) // (overlay.site or { });
  inherit
    networks
    nodes
    hosts
    services
    rollout
    ;
}
// (if deployers == { } then { } else { inherit deployers; })
// (
  if cloud == { } then
    { }
  else
    {
      cloud = cloud // (if cloud ? gateway then { gateway = rename cloud.gateway; } else { });
    }
)
