# Prometheus: scrapes every exporter of the fleet, keeps three months, and judges by rules/*.yaml.
{
  config,
  lib,
  aether,
  ...
}:
let
  targets = import ./targets.nix { inherit lib aether; };
  service = aether.services.prometheus;
  exporters = config.services.prometheus.exporters;
  inherit (config.services.prometheus) alertmanager;

  # What runs here, asked on loopback.
  own = job: port: {
    job_name = job;
    static_configs = [
      {
        targets = [ "127.0.0.1:${toString port}" ];
        labels = {
          host = aether.name;
          uptime = "always";
        };
      }
    ];
  };

  # Exporters whose metrics are not at /metrics.
  elsewhere.pve = {
    metrics_path = "/pve";
    params = {
      cluster = [ "1" ];
      node = [ "1" ];
    };
  };

  # `instance` names the machine; its port is the job's.
  byHost = [
    {
      source_labels = [ "host" ];
      target_label = "instance";
    }
  ];
in
{
  services.prometheus = {
    enable = true;
    inherit (service) port;
    webExternalUrl = "https://${service.fqdn}";
    retentionTime = "90d";
    extraFlags = [
      # Whichever comes first: the disk is shared with logs and traces.
      "--storage.tsdb.retention.size=80GB"
      # Metrics that programs push by OTLP come through the collector.
      "--web.enable-otlp-receiver"
      "--web.enable-remote-write-receiver"
      "--enable-feature=exemplar-storage"
    ];
    # Nothing in this configuration is read from a file outside the store, so all of it is checked when it is built.
    checkConfig = true;
    # Targets change with the inventory; samples in memory need not be lost for that.
    enableReload = true;
    globalConfig = {
      scrape_interval = "30s";
      evaluation_interval = "30s";
      external_labels.site = aether.site.name;
    };
    ruleFiles = [
      ./rules/hosts.yaml
      ./rules/storage.yaml
      ./rules/backup.yaml
      ./rules/deploys.yaml
      ./rules/services.yaml
      ./rules/programs.yaml
      ./rules/observability.yaml
    ];
    alertmanagers = [
      { static_configs = [ { targets = [ "127.0.0.1:${toString alertmanager.port}" ]; } ]; }
    ];
    scrapeConfigs =
      lib.mapAttrsToList (
        exporter: static_configs:
        {
          job_name = exporter;
          inherit static_configs;
          relabel_configs = byHost;
        }
        // (elsewhere.${exporter} or { })
      ) targets.exporters
      ++ [
        (own "prometheus" service.port)
        (own "alertmanager" alertmanager.port)
        (own "grafana" config.services.grafana.settings.server.http_port)
        (own "loki" config.services.loki.configuration.server.http_listen_port)
        (own "tempo" config.services.tempo.settings.server.http_listen_port)
        (own "blackbox" exporters.blackbox.port)
      ];
  };
}
