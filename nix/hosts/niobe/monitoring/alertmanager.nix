# Alertmanager: mail for what can wait until morning, a chat message at once for what cannot, and a heartbeat to
# somebody outside, because a dead monitoring host reports nothing.
{
  config,
  pkgs,
  aether,
  ...
}:
let
  service = aether.services.alerts;
  inherit (aether.site) public_domain;
  credentials = "/run/credentials/alertmanager.service";
  secret = name: config.sops.secrets.${name}.path;
  restart = {
    restartUnits = [ "alertmanager.service" ];
  };
in
{
  services.prometheus.alertmanager = {
    enable = true;
    inherit (service) port;
    webExternalUrl = "https://${service.fqdn}";
    # One instance: no gossip, no port for it.
    extraFlags = [ "--cluster.listen-address=" ];
    configuration = {
      global = {
        smtp_smarthost = "mail.${public_domain}:587";
        smtp_from = "aether@${public_domain}";
        smtp_auth_username = "aether@${public_domain}";
        smtp_auth_password_file = "${credentials}/smtp-password";
        smtp_require_tls = true;
        resolve_timeout = "5m";
      };
      route = {
        receiver = "mail";
        group_by = [
          "alertname"
          "host"
        ];
        group_wait = "30s";
        group_interval = "5m";
        repeat_interval = "12h";
        routes = [
          {
            # aether-heartbeat.timer asks for it; nobody is told.
            matchers = [ ''alertname="Watchdog"'' ];
            receiver = "none";
          }
          {
            matchers = [ ''severity="critical"'' ];
            receiver = "chat";
            group_wait = "10s";
            repeat_interval = "2h";
            continue = true;
          }
          # Whatever came this far, critical or not.
          { receiver = "mail"; }
        ];
      };
      inhibit_rules = [
        {
          # A machine that is down explains whatever is missing on it.
          source_matchers = [ ''alertname="HostDown"'' ];
          target_matchers = [ ''alertname!="HostDown"'' ];
          equal = [ "host" ];
        }
        {
          source_matchers = [ ''severity="critical"'' ];
          target_matchers = [ ''severity="warning"'' ];
          equal = [
            "alertname"
            "host"
          ];
        }
      ];
      receivers = [
        { name = "none"; }
        {
          name = "mail";
          email_configs = [
            {
              to = "hostmaster@${public_domain}";
              send_resolved = true;
            }
          ];
        }
        {
          name = "chat";
          # The incoming webhook of any chat that takes Slack's format.
          slack_configs = [
            {
              api_url_file = "${credentials}/chat-webhook-url";
              send_resolved = true;
              title = "{{ .Status | toUpper }}: {{ .CommonLabels.alertname }}";
              text = "{{ range .Alerts }}{{ .Annotations.summary }}\n{{ end }}";
            }
          ];
        }
      ];
    };
  };

  aether.secrets = {
    smtp-password = restart;
    chat-webhook-url = restart;
    heartbeat-url = { };
  };
  systemd.services.alertmanager.serviceConfig.LoadCredential = [
    "smtp-password:${secret "smtp-password"}"
    "chat-webhook-url:${secret "chat-webhook-url"}"
  ];

  # The heartbeat goes out only while the always-firing alert has come all the way from Prometheus to Alertmanager.
  systemd.services.aether-heartbeat = {
    description = "Tell the outside that alerting works";
    after = [ "alertmanager.service" ];
    path = [
      pkgs.curl
      pkgs.prometheus-alertmanager
    ];
    environment.ALERTMANAGER_URL = "http://127.0.0.1:${toString service.port}";
    script = builtins.readFile ./heartbeat.sh;
    serviceConfig = {
      Type = "oneshot";
      DynamicUser = true;
      LoadCredential = "heartbeat-url:${secret "heartbeat-url"}";
      ProtectSystem = "strict";
      ProtectHome = true;
      PrivateDevices = true;
      NoNewPrivileges = true;
    };
  };
  systemd.timers.aether-heartbeat = {
    wantedBy = [ "timers.target" ];
    timerConfig = {
      OnBootSec = "5min";
      OnUnitActiveSec = "5min";
    };
  };
}
