# The OIDC clients that hosts offer (exports.nix), from every NixOS host of the inventory. Two hosts with the same
# client id would overwrite each other: an error.
{ lib, aether }:
let
  inherit (aether.lib) hosts;
  declared = lib.concatMap (
    host: lib.mapAttrsToList (id: client: { inherit id host client; }) (hosts.exports host).clients
  ) (lib.attrNames hosts.nixos);
  byId = lib.groupBy (entry: entry.id) declared;
in
lib.mapAttrs (
  id: entries:
  if lib.length entries == 1 then
    (lib.head entries).client
  else
    throw "OIDC client '${id}' is declared by ${
      lib.concatMapStringsSep " and " (entry: entry.host) entries
    }. Give one of them another name in its exports.nix."
) byId
