# Who is who: SSH host keys of all hosts and nodes, from the inventory, so that nobody ever trusts on first use.
{ lib, aether, ... }:
let
  keyed = lib.filterAttrs (_: facts: facts ? host_key) (aether.nodes // aether.hosts);
in
{
  programs.ssh.knownHosts = lib.mapAttrs (name: facts: {
    hostNames = [
      name
      (aether.inventory.fqdn name)
      facts.address
    ];
    publicKey = facts.host_key;
  }) keyed;
}
