# Blackbox probes: the fleet seen from outside its own exporters. Every machine by ping, every web service through
# the gateway as people reach it (with its certificate), the resolver by a question.
{
  config,
  lib,
  pkgs,
  aether,
  ...
}:
let
  targets = import ./targets.nix { inherit lib aether; };
  inherit (config.services.prometheus.exporters) blackbox;
  resolver = aether.inventory.host "adguard";

  # The service's own answer, whatever it is, short of an error. One that a login in front of it gave says nothing about
  # the service: Caddy lets the probe through (caddy.nix), and where it did not, the probe fails.
  web = {
    prober = "http";
    timeout = "10s";
    http = {
      preferred_ip_protocol = "ip4";
      follow_redirects = false;
      fail_if_not_ssl = true;
      valid_status_codes = [
        200
        301
        302
        303
        307
        308
        401
        403
      ];
      fail_if_header_matches = [
        {
          header = "Location";
          regexp = "/oauth2/|^${config.aether.web.issuer}";
          allow_missing = true;
        }
      ];
    };
  };

  # Whoever asks for the login in front of services is sent to Keycloak.
  login = lib.recursiveUpdate web {
    http = {
      tls_config.ca_file = "${config.aether.certificates.rootFile}";
      valid_status_codes = [ 302 ];
      fail_if_header_matches = [ ];
      fail_if_header_not_matches = [
        {
          header = "Location";
          regexp = "^${config.aether.web.issuer}/";
        }
      ];
    };
  };

  modules = {
    icmp = {
      prober = "icmp";
      timeout = "5s";
      icmp.preferred_ip_protocol = "ip4";
    };
    tcp = {
      prober = "tcp";
      timeout = "5s";
      tcp.preferred_ip_protocol = "ip4";
    };
    # Inside, certificates are step-ca's; outside, those of a public CA.
    web_internal = lib.recursiveUpdate web {
      http.tls_config.ca_file = "${config.aether.certificates.rootFile}";
    };
    web_public = web;
    web_login = login;
    dns = {
      prober = "dns";
      timeout = "5s";
      dns = {
        preferred_ip_protocol = "ip4";
        query_name = aether.services.grafana.fqdn;
        query_type = "A";
        validate_answer_rrs.fail_if_none_matches_regexp = [
          "${lib.escapeRegex aether.services.grafana.fqdn}\\.\t.*\tIN\tA\t${lib.escapeRegex (aether.inventory.address "gateway")}"
        ];
      };
    };
  };

  probe = job: module: static_configs: {
    job_name = job;
    metrics_path = "/probe";
    params.module = [ module ];
    inherit static_configs;
    relabel_configs = [
      {
        source_labels = [ "__address__" ];
        target_label = "__param_target";
      }
      {
        source_labels = [ "__param_target" ];
        target_label = "instance";
      }
      {
        target_label = "__address__";
        replacement = "127.0.0.1:${toString blackbox.port}";
      }
    ];
  };
in
{
  services.prometheus.exporters.blackbox = {
    enable = true;
    listenAddress = "127.0.0.1";
    configFile = (pkgs.formats.json { }).generate "blackbox.json" { inherit modules; };
  };
  # nixpkgs gives it the capability to ping, and takes it again by an empty set of those that it may have.
  systemd.services.prometheus-blackbox-exporter.serviceConfig.CapabilityBoundingSet = [
    "CAP_NET_RAW"
  ];

  services.prometheus.scrapeConfigs = [
    (probe "probe-ping" "icmp" targets.machines)
    (probe "probe-tcp" "tcp" targets.ports)
    (probe "probe-web" "web_internal" (
      targets.web {
        fqdn = "fqdn";
        path = service: service.probe;
        only = _: true;
      }
    ))
    (probe "probe-login" "web_login" (
      targets.web {
        fqdn = "fqdn";
        path = _: "/oauth2/start";
        only = service: service.login == "proxy";
      }
    ))
    (probe "probe-public" "web_public" (
      targets.web {
        fqdn = "publicFqdn";
        path = service: service.probe;
        only = service: service.public;
      }
    ))
    (probe "probe-dns" "dns" [
      {
        targets = [ "${resolver.address}:53" ];
        labels.host = aether.inventory.nameOf "adguard";
      }
    ])
  ];
}
