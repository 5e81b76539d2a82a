# The server's profile as a local VM: hardened, keys only, services as containers. What a new service is tried out on.
{
  imports = [
    ./common.nix
    ../../profiles/server.nix
  ];
}
