# Grafana: people log in at Keycloak; data sources and dashboards are code (dashboards/), so there is nothing to click.
{
  config,
  lib,
  aether,
  ...
}:
let
  service = aether.services.grafana;
  issuer = config.aether.web.issuer;
  openid = "${issuer}/protocol/openid-connect";
  root = "https://${service.name}";
  fromFile = name: "$__file{${config.sops.secrets.${name}.path}}";
  secret = {
    owner = "grafana";
    restartUnits = [ "grafana.service" ];
  };
  loopback = port: "http://127.0.0.1:${toString port}";
  dashboards = import ./dashboards { inherit lib; };
in
{
  services.grafana = {
    enable = true;
    settings = {
      server = {
        http_addr = "0.0.0.0";
        http_port = service.port;
        domain = service.name;
        root_url = root;
        enforce_domain = false;
      };
      security = {
        secret_key = fromFile "grafana-secret-key";
        admin_user = "admin";
        # For the day Keycloak is down; otherwise nobody uses it.
        admin_password = fromFile "grafana-admin-password";
        cookie_secure = true;
        strict_transport_security = true;
      };
      users = {
        allow_sign_up = false;
        default_theme = "system";
      };
      auth.oauth_allow_insecure_email_lookup = false;
      "auth.generic_oauth" = {
        enabled = true;
        name = "Keycloak";
        client_id = "grafana";
        client_secret = fromFile "oidc-client-secret";
        scopes = "openid profile email roles";
        auth_url = "${openid}/auth";
        token_url = "${openid}/token";
        api_url = "${openid}/userinfo";
        signout_redirect_url = "${openid}/logout?post_logout_redirect_uri=${lib.escapeURL "${root}/login"}";
        use_pkce = true;
        use_refresh_token = true;
        email_attribute_path = "email";
        login_attribute_path = "preferred_username";
        name_attribute_path = "name";
        # Client roles of Keycloak; without one there is no access.
        role_attribute_path = "contains(resource_access.grafana.roles[*], 'admin') && 'GrafanaAdmin' || contains(resource_access.grafana.roles[*], 'editor') && 'Editor' || contains(resource_access.grafana.roles[*], 'viewer') && 'Viewer'";
        role_attribute_strict = true;
        allow_assign_grafana_admin = true;
      };
      analytics = {
        reporting_enabled = false;
        check_for_updates = false;
        check_for_plugin_updates = false;
        feedback_links_enabled = false;
      };
      news.news_feed_enabled = false;
      dashboards.default_home_dashboard_path = "/etc/grafana/dashboards/fleet.json";
    };

    provision = {
      enable = true;
      datasources.settings = {
        apiVersion = 1;
        prune = true;
        datasources = [
          {
            name = "Prometheus";
            uid = "prometheus";
            type = "prometheus";
            url = loopback config.services.prometheus.port;
            isDefault = true;
            jsonData = {
              timeInterval = "30s";
              exemplarTraceIdDestinations = [
                {
                  name = "traceID";
                  datasourceUid = "tempo";
                }
              ];
            };
          }
          {
            name = "Loki";
            uid = "loki";
            type = "loki";
            url = loopback config.services.loki.configuration.server.http_listen_port;
            jsonData.derivedFields = [
              {
                name = "trace";
                matcherType = "label";
                matcherRegex = "trace_id";
                url = "$\${__value.raw}";
                datasourceUid = "tempo";
              }
            ];
          }
          {
            name = "Tempo";
            uid = "tempo";
            type = "tempo";
            url = loopback config.services.tempo.settings.server.http_listen_port;
            jsonData = {
              serviceMap.datasourceUid = "prometheus";
              nodeGraph.enabled = true;
              tracesToLogsV2 = {
                datasourceUid = "loki";
                filterByTraceID = true;
                tags = [
                  {
                    key = "host.name";
                    value = "host_name";
                  }
                ];
              };
            };
          }
          {
            name = "Alertmanager";
            uid = "alertmanager";
            type = "alertmanager";
            url = loopback config.services.prometheus.alertmanager.port;
            jsonData = {
              implementation = "prometheus";
              handleGrafanaManagedAlerts = false;
            };
          }
        ];
      };
      dashboards.settings.providers = [
        {
          name = "aether";
          disableDeletion = true;
          allowUiUpdates = false;
          options.path = "/etc/grafana/dashboards";
        }
      ];
    };
  };

  environment.etc = lib.mapAttrs' (
    name: dashboard:
    lib.nameValuePair "grafana/dashboards/${name}.json" { text = builtins.toJSON dashboard; }
  ) dashboards;

  aether.secrets = {
    grafana-secret-key = secret;
    grafana-admin-password = secret;
    oidc-client-secret = secret;
  };
}
