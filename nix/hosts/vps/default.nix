# VPS: what is public, in the cloud, behind the public gateway's network.
{
  imports = [
    ../../images/amazon.nix
    ../../profiles/server.nix
  ];
}
