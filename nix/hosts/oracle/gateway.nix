# Ingress for everything.
{
  imports = [ ../../profiles/server.nix ];
}
