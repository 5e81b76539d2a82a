# Homelab VM: self-hosted services on a root that is empty at every boot.
{
  imports = [ ../../../profiles/server.nix ];
  aether.abilities.ephemeral.enable = true;
}
