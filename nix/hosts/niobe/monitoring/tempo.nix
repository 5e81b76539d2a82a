# Tempo: traces, two weeks, in one process on the local disk. Spans come from the collector alone; the service
# graph and span metrics go to Prometheus.
{ config, ... }:
let
  state = "/var/lib/tempo";
  prometheus = "http://127.0.0.1:${toString config.services.prometheus.port}";
in
{
  services.tempo = {
    enable = true;
    settings = {
      stream_over_http_enabled = true;
      server = {
        http_listen_address = "127.0.0.1";
        http_listen_port = 3200;
        grpc_listen_address = "127.0.0.1";
        grpc_listen_port = 9097;
        log_level = "warn";
      };
      # 4317 and 4318 are the collector's.
      distributor.receivers.otlp.protocols.grpc.endpoint = "127.0.0.1:4327";
      storage.trace = {
        backend = "local";
        wal.path = "${state}/wal";
        local.path = "${state}/blocks";
      };
      live_store = {
        wal.path = "${state}/live-store/traces";
        shutdown_marker_dir = "${state}/live-store/shutdown-marker";
      };
      backend_scheduler = {
        local_work_path = "${state}/scheduler";
        provider.compaction.compaction.block_retention = "336h";
      };
      backend_worker.compaction.block_retention = "336h";
      metrics_generator = {
        storage = {
          path = "${state}/generator/wal";
          remote_write = [
            {
              url = "${prometheus}/api/v1/write";
              send_exemplars = true;
            }
          ];
        };
      };
      overrides.defaults.metrics_generator.processors = [
        "service-graphs"
        "span-metrics"
      ];
      usage_report.reporting_enabled = false;
    };
  };
}
