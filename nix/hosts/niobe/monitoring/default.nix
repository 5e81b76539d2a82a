# Monitoring: what every host measures, logs and traces ends here, and somebody is told when it matters.
# It stands on its own feet: targets are addresses, not names, so that it sees a DNS outage instead of sharing it.
{ lib, aether, ... }:
let
  state = "/var/lib";
  onDataDisk = lib.any (disk: (disk.mount or "") == state) (aether.host.disks or [ ]);
in
{
  imports = [
    ../../../profiles/appliance.nix
    ./prometheus.nix
    ./probes.nix
    ./alertmanager.nix
    ./loki.nix
    ./tempo.nix
    ./collector.nix
    ./grafana.nix
  ];

  # The second disk carries all state. It must be there before activation: /var/lib/nixos keeps the numbers of
  # users, and a set made on the empty mount point would be hidden by the mount.
  fileSystems = lib.mkIf onDataDisk { ${state}.neededForBoot = true; };

  # Samples, logs and traces age out by themselves; what people made by hand in Grafana, silences, and the
  # certificate account do not come back.
  aether.backup.paths = [
    "/var/lib/grafana"
    "/var/lib/private/alertmanager"
    "/var/lib/acme"
  ];
  aether.backup.exclude = [ "/var/lib/grafana/plugins" ];

  assertions = [
    {
      assertion = onDataDisk;
      message = "[hosts.${aether.name}] needs a data disk at /var/lib for metrics, logs and traces; write disks = [{ size = 32 }, { size = 200, mount = \"/var/lib\" }].";
    }
  ];
}
