# Observability of every host: the journal and traces are sent to host monitoring by an OpenTelemetry collector;
# metrics are offered by the node exporter, for monitoring alone to read.
{
  config,
  lib,
  pkgs,
  aether,
  ...
}:
let
  inherit (lib) types mkOption mkDefault;
  cfg = config.aether.otel;
  exports = aether.lib.hosts.exports aether.name;
  way = aether.inventory.way aether.name cfg.server 4317;
in
{
  options.aether.otel = {
    enable = mkOption {
      type = types.bool;
      default = exports.watched;
      defaultText = lib.literalMD "`watched` of the host's exports.nix, else true";
      description = "Ship logs, metrics and traces to host monitoring.";
    };
    server = mkOption {
      type = types.str;
      default = "monitoring";
      description = "Host of the inventory that collects.";
    };
    endpoint = mkOption {
      type = types.str;
      default = "https://${
        if way.relayed then way.address else aether.inventory.fqdn cfg.server
      }:${toString way.port}";
      description = "Where OTLP (gRPC, TLS by the internal CA) is received.";
    };
    textfiles = mkOption {
      type = types.str;
      default = "/var/lib/node-exporter-text";
      readOnly = true;
      description = "Directory whose *.prom files the node exporter offers: for jobs that run and end.";
    };
    exporters = mkOption {
      type = types.attrsOf types.port;
      readOnly = true;
      default = exports.exporters;
      defaultText = lib.literalMD "`exporters` of the host's exports.nix, the node exporter and the collector";
      description = "Prometheus exporters of this host, name and port: opened to monitoring, which scrapes them.";
    };
  };

  config = lib.mkIf cfg.enable {
    services.prometheus.exporters.node = {
      enable = true;
      port = cfg.exporters.node;
      enabledCollectors = [
        "systemd"
        "processes"
      ];
      extraFlags = [
        "--collector.textfile.directory=${cfg.textfiles}"
        # How often systemd restarted a service: alert UnitRestartsAgainAndAgain.
        "--collector.systemd.enable-restarts-metrics"
      ];
    };
    systemd.tmpfiles.rules = [ "d ${cfg.textfiles} 0755 root root -" ];
    aether.persist.directories = [
      cfg.textfiles
      # What was collected while monitoring was away.
      "/var/lib/private/opentelemetry-collector"
    ];

    # Nobody at home reaches a machine in the cloud: it tells its metrics itself.
    aether.firewall.allow.metrics = lib.mkIf (!way.relayed) {
      tcp = lib.attrValues cfg.exporters;
      from = [ cfg.server ];
    };

    services.opentelemetry-collector = {
      enable = true;
      package = pkgs.opentelemetry-collector-contrib;
      settings = {
        extensions.file_storage = {
          directory = "/var/lib/opentelemetry-collector/queue";
          create_directory = true;
        };
        receivers = {
          prometheus = lib.mkIf way.relayed {
            config.scrape_configs = lib.mapAttrsToList (job_name: port: {
              inherit job_name;
              scrape_interval = "30s";
              static_configs = [
                {
                  targets = [ "127.0.0.1:${toString port}" ];
                  # As monitoring labels what it asks (nix/hosts/niobe/monitoring/targets.nix), and that nobody asked.
                  labels = {
                    host = aether.name;
                    inherit (aether.host) kind;
                    uptime = "always";
                    way = "pushed";
                  };
                }
              ];
            }) cfg.exporters;
          };
          journald.priority = mkDefault "info";
          # Programs on this host send their traces here.
          otlp.protocols.grpc.endpoint = mkDefault "127.0.0.1:4317";
          otlp.protocols.http.endpoint = mkDefault "127.0.0.1:4318";
        };
        processors = {
          resource.attributes = [
            {
              key = "host.name";
              value = aether.name;
              action = "upsert";
            }
            {
              key = "service.namespace";
              value = aether.site.name;
              action = "upsert";
            }
          ];
          batch.timeout = "5s";
        };
        exporters."otlp_grpc/monitoring" = {
          inherit (cfg) endpoint;
          tls = {
            ca_file = "${config.aether.certificates.rootFile}";
          }
          // lib.optionalAttrs way.relayed { server_name_override = aether.inventory.fqdn cfg.server; };
          # What is collected while monitoring is away is kept on disk.
          sending_queue.storage = "file_storage";
          retry_on_failure.max_elapsed_time = "1h";
        };
        service = {
          extensions = [ "file_storage" ];
          # Its own numbers, for monitoring: a collector that cannot deliver says so here and nowhere else.
          telemetry.metrics.readers = [
            {
              pull.exporter.prometheus = {
                host = "0.0.0.0";
                port = cfg.exporters.collector;
              };
            }
          ];
          pipelines = {
            logs = {
              receivers = [
                "journald"
                "otlp"
              ];
              processors = [
                "resource"
                "batch"
              ];
              exporters = [ "otlp_grpc/monitoring" ];
            };
            traces = {
              receivers = [ "otlp" ];
              processors = [
                "resource"
                "batch"
              ];
              exporters = [ "otlp_grpc/monitoring" ];
            };
            metrics = {
              receivers = [ "otlp" ];
              processors = [
                "resource"
                "batch"
              ];
              exporters = [ "otlp_grpc/monitoring" ];
            };
            # Without the resource's namespace: jobs are called as those that monitoring asks.
            "metrics/pushed" = lib.mkIf way.relayed {
              receivers = [ "prometheus" ];
              processors = [ "batch" ];
              exporters = [ "otlp_grpc/monitoring" ];
            };
          };
        };
      };
    };
    # journald's receiver calls journalctl.
    systemd.services.opentelemetry-collector.path = [ config.systemd.package ];
  };
}
