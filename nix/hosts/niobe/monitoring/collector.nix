# The collector that all others send to: OTLP over TLS from the fleet, plain on loopback from programs here.
# Logs go to Loki, traces to Tempo, metrics to Prometheus.
{
  config,
  lib,
  aether,
  ...
}:
let
  inherit (lib) mkForce;
  inherit (config.services) loki prometheus tempo;
  cert = config.aether.certificates.hosts.collector;
  loopback = port: "http://127.0.0.1:${toString port}";
  port = 4317;

  # Alloy, on the Proxmox nodes, sends labels of Loki: names without dots, on each record.
  label =
    attribute: name:
    ''set(log.attributes["${attribute}"], log.attributes["${name}"]) where log.attributes["${name}"] != nil'';

  # A journal entry arrives as a map. What people search for becomes an attribute, the message becomes the line.
  field =
    attribute: name:
    ''set(log.attributes["${attribute}"], log.body["${name}"]) where IsMap(log.body) and log.body["${name}"] != nil'';
in
{
  services.opentelemetry-collector.settings = {
    receivers.otlp.protocols.grpc = {
      endpoint = "0.0.0.0:${toString port}";
      tls = {
        cert_file = cert.cert;
        key_file = cert.key;
        # A certificate lives a day or two; the file is looked at again, no restart needed.
        reload_interval = "1h";
      };
      # Messages of hosts that catch up after an outage are large.
      max_recv_msg_size_mib = 16;
    };
    processors = {
      memory_limiter = {
        check_interval = "1s";
        limit_mib = 512;
        spike_limit_mib = 128;
      };
      # A line that does not fit is passed on as it came, rather than dropped.
      "transform/journal".error_mode = "ignore";
      "transform/journal".log_statements = [
        (label "host.name" "host_name")
        (label "service.name" "service_name")
        (label "service.namespace" "service_namespace")
        (field "unit" "_SYSTEMD_UNIT")
        # systemd's own messages about a unit carry its name here.
        (field "unit" "UNIT")
        (field "service.name" "SYSLOG_IDENTIFIER")
        (field "pid" "_PID")
        (field "priority" "PRIORITY")
        ''set(log.severity_number, SEVERITY_NUMBER_ERROR) where log.attributes["priority"] == "3"''
        ''set(log.severity_number, SEVERITY_NUMBER_FATAL) where IsMatch(log.attributes["priority"], "^[0-2]$")''
        ''set(log.severity_number, SEVERITY_NUMBER_WARN) where log.attributes["priority"] == "4"''
        ''set(log.severity_number, SEVERITY_NUMBER_INFO) where IsMatch(log.attributes["priority"], "^[56]$")''
        ''set(log.body, log.body["MESSAGE"]) where IsMap(log.body) and log.body["MESSAGE"] != nil''
      ];
      # What are Loki's labels must stand on the resource.
      "groupbyattrs/service".keys = [
        "host.name"
        "service.name"
        "service.namespace"
      ];
      # Metrics carry the same label as scraped ones.
      "transform/host".metric_statements = [
        ''set(datapoint.attributes["host"], resource.attributes["host.name"]) where resource.attributes["host.name"] != nil''
      ];
      # The name of the sender is on its data already; only what starts here gets this host's.
      "resource/own" = {
        attributes = config.services.opentelemetry-collector.settings.processors.resource.attributes;
      };
    };
    exporters = mkForce {
      "otlp_http/loki".endpoint = "${loopback loki.configuration.server.http_listen_port}/otlp";
      "otlp_grpc/tempo" = {
        endpoint = tempo.settings.distributor.receivers.otlp.protocols.grpc.endpoint;
        tls.insecure = true;
      };
      "otlp_http/prometheus".endpoint = "${loopback prometheus.port}/api/v1/otlp";
    };
    service = {
      pipelines = mkForce {
        "logs/own" = {
          receivers = [ "journald" ];
          processors = [
            "memory_limiter"
            "resource/own"
            "transform/journal"
            "groupbyattrs/service"
            "batch"
          ];
          exporters = [ "otlp_http/loki" ];
        };
        logs = {
          receivers = [ "otlp" ];
          processors = [
            "memory_limiter"
            "transform/journal"
            "groupbyattrs/service"
            "batch"
          ];
          exporters = [ "otlp_http/loki" ];
        };
        traces = {
          receivers = [ "otlp" ];
          processors = [
            "memory_limiter"
            "batch"
          ];
          exporters = [ "otlp_grpc/tempo" ];
        };
        metrics = {
          receivers = [ "otlp" ];
          processors = [
            "memory_limiter"
            "transform/host"
            "batch"
          ];
          exporters = [ "otlp_http/prometheus" ];
        };
      };
    };
  };

  aether.certificates.hosts.collector = {
    units = [ "opentelemetry-collector.service" ];
    # reload_interval above.
    rereads = true;
  };
  systemd.services.opentelemetry-collector = {
    after = [
      "loki.service"
      "tempo.service"
    ];
    # To read the key of the certificate.
    serviceConfig.SupplementaryGroups = [ config.aether.certificates.hosts.collector.group ];
  };

  aether.firewall.allow.otlp = {
    tcp = [ port ];
    from = lib.attrNames aether.networks;
  };
}
