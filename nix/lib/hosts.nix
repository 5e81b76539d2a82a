# Which hosts Nix configures, and where each is written.
{ root, inventory }:
let
  concat = builtins.concatStringsSep;
  isNixos =
    host:
    (host.os or "nixos") == "nixos"
    && !builtins.elem host.kind [
      "atomic"
      "external"
    ];

  # Where a host's own folder may be. A host of an environment is written where the one is that it stands for.
  folders =
    real: host:
    let
      name = host.stands_for or real;
    in
    (if host ? node then [ "nix/hosts/${host.node}/${name}" ] else [ ]) ++ [ "nix/hosts/${name}" ];

  # The places where a host may be written, in order: the group is the Proxmox node it runs on.
  candidates =
    name: host:
    let
      bases = folders name host;
    in
    builtins.concatMap (base: [
      "${base}.nix"
      "${base}/default.nix"
    ]) bases;
in
rec {
  # Facts of all hosts that run NixOS, by name.
  nixos = inventory.hostsWhere isNixos;

  # The flake attribute of a host: its name, unless the inventory says otherwise.
  attribute = name: nixos.${name}.flake or name;

  # nixosConfigurations' attribute -> host name.
  byAttribute = builtins.listToAttrs (
    map (name: {
      name = attribute name;
      value = name;
    }) (builtins.attrNames nixos)
  );

  # Hosts that have a configuration already, by name; the others are facts only, so far.
  written = builtins.filter (
    name: builtins.any (path: builtins.pathExists (root + "/${path}")) (candidates name nixos.${name})
  ) (builtins.attrNames nixos);

  # What a host says to others, readable without evaluating it: `exports.nix` in its folder, a function from
  # { inventory, name, host } to
  #   exporters  Prometheus exporters by name, with their ports (the node exporter and the collector are everybody's)
  #   clients    OIDC clients by id: redirects, logouts (where a logout may lead; default: the redirects), roles, public
  #   watched    whether monitoring expects it to ship logs and metrics at all
  # Others may not look into its configuration: their own would then depend on every host, and break with each.
  exports =
    name:
    let
      host = nixos.${name} or null;
      found =
        file:
        if host == null then
          [ ]
        else
          builtins.filter (path: builtins.pathExists (root + "/${path}")) (
            map (folder: "${folder}/${file}") (folders name host)
          );
      files = found "exports.nix";
      # Its name in 0.1.0: what it says would be lost without a word.
      old = found "offers.nix";
      said =
        if old != [ ] then
          throw "${builtins.head old}: what a host says to others is in exports.nix. Fix: git mv ${builtins.head old} ${builtins.dirOf (builtins.head old)}/exports.nix"
        else if files == [ ] then
          { }
        else
          import (root + "/${builtins.head files}") { inherit inventory name host; };
    in
    {
      watched = said.watched or true;
      exporters = {
        node = 9100;
        collector = 8888;
      }
      // said.exporters or { };
      clients = builtins.mapAttrs (
        _: client:
        {
          logouts = [ ];
          roles = [ ];
          public = false;
        }
        // client
      ) (said.clients or { });
    };

  # The host's entry file as a path; an error that says what to write where there is none.
  file =
    name:
    let
      host =
        nixos.${name} or (throw ''
          host '${name}' is not a NixOS host of the inventory (those are ${concat ", " (builtins.attrNames nixos)}).
          Add it to inventory/homelab.toml:
              [hosts.${name}]
              kind = "nixos-vm"
        '');
      paths = candidates name host;
      found = builtins.filter (path: builtins.pathExists (root + "/${path}")) paths;
    in
    if builtins.length found == 1 then
      root + "/${builtins.head found}"
    else if found == [ ] then
      throw ''
        inventory host '${name}' has no NixOS configuration: none of ${concat ", " paths} is in the repository (a flake sees tracked files only: `git add` it).
        Write ${builtins.head paths}:
            { imports = [ ../../profiles/appliance.nix ]; }
      ''
    else
      throw "inventory host '${name}' is written twice: ${concat " and " found}. Keep one.";
}
