# A machine that nobody is yet: reachable by SSH for its first deploy, and nothing else.
{
  imports = [ ../profiles/server.nix ];
  aether.network.enable = false;
  # Neither ships anything nor has secrets before it is somebody.
  aether.otel.enable = false;
  aether.console.enable = false;
  aether.users.passwordSecret = null;
  networking.hostName = "";
}
