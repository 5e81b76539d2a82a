# What a host that takes orders (docs/rollout.md) runs of the protocol, and how it is started: the module has it run by a timer on NixOS,
# the lab by hand on its own machines. Texts alone, without nixpkgs.
let
  steps = [
    ../../components/health/scripts/health.sh
    ../../components/nixos/scripts/take-order.sh
    ../../components/nixos/scripts/pull.sh
    ../../components/nixos/scripts/host.sh
    ../../components/nixos/scripts/activate.sh
    ../../components/nixos/scripts/confirm.sh
  ];
in
{
  # Whether a host finds orders at the cache of its inventory file (takes_orders of inventory/models.py).
  takes =
    host: cache:
    cache != null
    && (host.roams or false)
    && (host.pulls or true)
    && (host.build_on or "operator") != "target"
    && builtins.match "https?://.*" (cache.pull or cache.push) != null;

  scripts = import ./scripts.nix "aether-orders" steps;

  # The words that start it. `shell` is an absolute path, `keys` are the public keys of the fleet.
  command =
    {
      shell,
      scripts,
      name,
      cache,
      keys,
      # Where its health checks find it, whatever address the network gives it.
      address ? "127.0.0.1",
    }:
    [
      shell
      "${scripts}/nixos/scripts/take-order.sh"
      name
      (cache.pull or cache.push)
      address
    ]
    ++ keys;
}
