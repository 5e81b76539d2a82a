# Homelab VM: self-hosted services. Its root stays: ephemeral roots are for the machines that people sit at, whose disks
# their own installer makes.
{
  imports = [
    ../../../profiles/appliance.nix
    ./database.nix
    ./forge.nix
    ./shared-home.nix
  ];
  aether.features.memory.enable = true;
}
