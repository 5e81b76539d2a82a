# The OIDC clients that hosts declare (aether.web.clients), from every NixOS host of the inventory. Two hosts with
# the same client id would overwrite each other: an error.
{ lib, aether }:
let
  systems = lib.filterAttrs (
    attribute: _: aether.lib.hosts.byAttribute ? ${attribute}
  ) aether.inputs.self.nixosConfigurations;
  declared = lib.concatLists (
    lib.mapAttrsToList (
      host: system:
      lib.mapAttrsToList (id: client: {
        inherit id host client;
      }) system.config.aether.web.clients
    ) systems
  );
  byId = lib.groupBy (entry: entry.id) declared;
in
lib.mapAttrs (
  id: entries:
  if lib.length entries == 1 then
    (lib.head entries).client
  else
    throw "OIDC client '${id}' is declared by ${
      lib.concatMapStringsSep " and " (entry: entry.host) entries
    }. Give one of them another name in aether.web.clients."
) byId
