# Homelab VM: self-hosted services on a root that is empty at every boot. Each says what of it stays.
{
  imports = [
    ../../../profiles/server.nix
    ./forge.nix
    ./shared-home.nix
  ];
  aether.abilities.ephemeral.enable = true;
  aether.abilities.memory.enable = true;
}
