# Caddy: one site for every web service of the inventory. Inside names (SUBDOMAIN.home…) have certificates of
# step-ca, public ones of the public ACME; services without a login of their own are behind Keycloak.
{
  config,
  lib,
  aether,
  ...
}:
let
  inherit (config.aether.gateway) httpsPort;
  metricsPort = config.aether.otel.exporters.caddy;
  authProxy = config.services.oauth2-proxy.httpAddress;

  # Where the request ends up. Services that speak TLS show a certificate of step-ca for their host's name.
  upstream =
    service:
    if service.scheme == "https" then
      ''
        reverse_proxy https://${service.address}:${toString service.port} {
          transport http {
            tls_trust_pool file ${config.aether.certificates.rootFile}
            tls_server_name ${aether.inventory.fqdn service.host}
          }
        }
      ''
    else
      "reverse_proxy ${service.address}:${toString service.port}";

  # Ask oauth2-proxy first: 401 from it becomes a visit to the login page.
  behindLogin = service: ''
    handle /oauth2/* {
      reverse_proxy ${authProxy} {
        header_up X-Real-IP {client_ip}
        header_up X-Forwarded-Uri {uri}
      }
    }
    # Monitoring asks the service itself: a dead one behind a login would otherwise look alive.
    @monitoring {
      # Who connects, not whom somebody speaks for.
      remote_ip ${aether.inventory.address config.aether.otel.server}
      method GET
      path ${service.probe}
    }
    handle @monitoring {
      request_header -X-Auth-Request-*
      ${upstream service}
    }
    route {
      # What a visitor says of himself goes first; a route keeps this order.
      request_header -X-Auth-Request-*
      forward_auth ${authProxy} {
        uri /oauth2/auth
        header_up X-Real-IP {client_ip}
        copy_headers X-Auth-Request-User X-Auth-Request-Email X-Auth-Request-Groups
        @unauthorized status 401
        handle_response @unauthorized {
          redir * /oauth2/sign_in?rd={scheme}://{host}{uri}
        }
      }
      ${upstream service}
    }
  '';

  site = issuer: service: {
    # The journal is where logs are shipped from.
    logFormat = "output stdout";
    extraConfig = ''
      import ${issuer}
      import common
      ${if service.login == "proxy" then behindLogin service else upstream service}
    '';
  };

  all = lib.attrValues (lib.filterAttrs (_: service: service.host != aether.name) aether.services);
  inside = map (service: lib.nameValuePair service.fqdn (site "internal" service)) all;
  outside = map (service: lib.nameValuePair service.publicFqdn (site "public" service)) (
    lib.filter (service: service.public) all
  );
in
{
  options.aether.gateway = {
    httpsPort = lib.mkOption {
      type = lib.types.port;
      default = 8443;
      description = "Loopback port where HAProxy hands TLS connections to Caddy, with the PROXY protocol.";
    };
  };

  config = {
    services.caddy = {
      enable = true;
      email = "hostmaster@${aether.site.public_domain}";
      globalConfig = ''
        https_port ${toString httpsPort}
        metrics
        servers :${toString httpsPort} {
          # HTTP/3 would pass HAProxy by.
          protocols h1 h2
          # The public gateway comes through the tunnel and says whom it speaks for.
          trusted_proxies static 127.0.0.1/32
          trusted_proxies_strict
          listener_wrappers {
            proxy_protocol {
              timeout 5s
              allow 127.0.0.1/32
            }
            tls
          }
        }
      '';
      extraConfig = ''
        (internal) {
          tls {
            issuer acme {
              dir ${config.aether.certificates.directory}
              trusted_roots ${config.aether.certificates.rootFile}
            }
          }
        }
        (public) {
          tls {
            issuer acme {
              # The public gateway ends TLS, and passes on what the authority asks by HTTP.
              disable_tlsalpn_challenge
            }
            # Until the world's names lead here, or while the public authority cannot be asked, the own one: the login of
            # the homelab itself goes by a public name.
            issuer acme {
              dir ${config.aether.certificates.directory}
              trusted_roots ${config.aether.certificates.rootFile}
            }
          }
        }
        (common) {
          encode zstd gzip
          header {
            Strict-Transport-Security "max-age=31536000"
            X-Content-Type-Options nosniff
            -Server
          }
          tracing {
            span gateway
          }
        }
        http://:${toString metricsPort} {
          metrics
        }
      '';
      virtualHosts = lib.listToAttrs (inside ++ outside);
    };
    # Spans go to the collector of this host.
    systemd.services.caddy.environment = {
      OTEL_EXPORTER_OTLP_ENDPOINT = "http://127.0.0.1:4317";
      OTEL_EXPORTER_OTLP_INSECURE = "true";
      OTEL_SERVICE_NAME = "caddy";
    };
  };
}
