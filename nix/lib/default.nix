# Everything here evaluates without nixpkgs, so that it can be unit-tested by a bare Nix (tests/nix).
# `root` is the repository as a path (or a fixture).
{
  root,
  environment ? null,
}:
let
  files = import ./files.nix;
  net = import ./net.nix;
  inventory = import ./inventory.nix { inherit root environment; };
  hosts = import ./hosts.nix { inherit root inventory; };
in
{
  inherit
    root
    files
    net
    inventory
    hosts
    ;
  cluster = import ./cluster.nix { inherit inventory; };
  secrets = import ./secrets.nix { inherit root; };
  deployUser = import ./deploy-user.nix;
  orders = import ./orders.nix;
}
