# Which hosts Nix configures, and where each is written.
{ root, inventory }:
let
  concat = builtins.concatStringsSep;
  isNixos =
    host:
    builtins.substring 0 6 host.kind == "nixos-"
    || (host.kind == "cloud-vm" && (host.os or "") == "nixos");

  # The places where a host may be written, in order: the group is the Proxmox node it runs on.
  candidates =
    name: host:
    let
      bases = (if host ? node then [ "nix/hosts/${host.node}/${name}" ] else [ ]) ++ [
        "nix/hosts/${name}"
      ];
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
            { imports = [ ../../profiles/server.nix ]; }
      ''
    else
      throw "inventory host '${name}' is written twice: ${concat " and " found}. Keep one.";
}
