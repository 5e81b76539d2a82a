# OpenBao's metrics are not at /metrics, so the collector of this host reads them and sends them on.
{ config, aether, ... }:
{
  services.openbao.settings.telemetry = {
    prometheus_retention_time = "10m";
    disable_hostname = true;
  };

  services.opentelemetry-collector.settings = {
    receivers."prometheus/openbao".config.scrape_configs = [
      {
        job_name = "openbao";
        scrape_interval = "60s";
        metrics_path = "/v1/sys/metrics";
        params.format = [ "prometheus" ];
        static_configs = [
          {
            targets = [ config.services.openbao.settings.listener.local.address ];
            labels.host = aether.name;
          }
        ];
      }
    ];
    service.pipelines.metrics.receivers = [ "prometheus/openbao" ];
  };
}
