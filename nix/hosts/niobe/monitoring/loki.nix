# Loki: the journals of all hosts, thirty days, in one process on the local disk. Its ruler watches for what only
# a log tells, such as an activation that was taken back.
{
  config,
  pkgs,
  ...
}:
let
  inherit (config.services.loki) dataDir;
  alertmanager = "http://127.0.0.1:${toString config.services.prometheus.alertmanager.port}";
in
{
  services.loki = {
    enable = true;
    configuration = {
      auth_enabled = false;
      server = {
        http_listen_port = 3100;
        grpc_listen_address = "127.0.0.1";
        grpc_listen_port = 9096;
        log_level = "warn";
      };
      common = {
        path_prefix = dataDir;
        replication_factor = 1;
        instance_addr = "127.0.0.1";
        ring.kvstore.store = "inmemory";
        storage.filesystem = {
          chunks_directory = "${dataDir}/chunks";
          rules_directory = "${dataDir}/rules";
        };
      };
      schema_config.configs = [
        {
          from = "2026-01-01";
          store = "tsdb";
          object_store = "filesystem";
          schema = "v13";
          index = {
            prefix = "index_";
            period = "24h";
          };
        }
      ];
      compactor = {
        working_directory = "${dataDir}/compactor";
        retention_enabled = true;
        delete_request_store = "filesystem";
      };
      limits_config = {
        retention_period = "720h";
        allow_structured_metadata = true;
        # Hosts that were away send what they kept.
        reject_old_samples_max_age = "168h";
        max_global_streams_per_user = 10000;
        # What every query starts from; all else stays structured metadata.
        otlp_config.resource_attributes = {
          ignore_defaults = true;
          attributes_config = [
            {
              action = "index_label";
              attributes = [
                "host.name"
                "service.name"
                "service.namespace"
              ];
            }
          ];
        };
      };
      ruler = {
        storage = {
          type = "local";
          local.directory = "/etc/loki/rules";
        };
        rule_path = "${dataDir}/ruler";
        alertmanager_url = alertmanager;
        enable_alertmanager_v2 = true;
        enable_api = false;
        ring.kvstore.store = "inmemory";
      };
      analytics.reporting_enabled = false;
    };
  };

  # Without tenants, Loki looks for the rules of tenant "fake".
  environment.etc."loki/rules/fake/logs.yaml".source = ./rules/logs.yaml;
  systemd.services.loki.restartTriggers = [
    config.environment.etc."loki/rules/fake/logs.yaml".source
  ];
  environment.systemPackages = [ pkgs.grafana-loki ];

  # `logcli` at an operator's desk on the management network; Grafana is for everyone else.
  aether.firewall.allow.loki = {
    tcp = [ config.services.loki.configuration.server.http_listen_port ];
    from = [ "management" ];
  };
}
