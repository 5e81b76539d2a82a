# HAProxy: TCP and SNI. Web names end at Caddy, the cluster's names and its API at the Talos nodes, untouched.
{
  config,
  lib,
  aether,
  ...
}:
let
  inherit (config.aether.gateway) httpsPort;
  metricsPort = config.aether.otel.exporters.haproxy;
  inherit (aether.lib) cluster;
  # An environment beside the one that has the cluster listens all the same: the hosts' health checks are one for both.
  nodes = if cluster == null then { } else cluster.nodes;
  publicNames = map (service: service.publicFqdn) (
    lib.filter (service: service.public) (lib.attrValues aether.services)
  );
  servers =
    port: options:
    lib.concatStringsSep "\n" (
      lib.mapAttrsToList (
        name: host: "  server ${name} ${host.address}:${toString port} ${options}"
      ) nodes
    );
in
{
  services.haproxy = {
    enable = true;
    config = ''
      global
        log stdout format raw local0 notice
        maxconn 4096

      defaults
        log global
        mode tcp
        option tcplog
        option dontlognull
        timeout connect 5s
        timeout client 1h
        timeout server 1h
        # Long-lived connections (kubectl exec, websockets) end when both sides say so.
        timeout tunnel 12h

      frontend https
        bind :443
        tcp-request inspect-delay 5s
        # What comes through the tunnel (wireproxy.nix) asks for public names, or for nothing: whoever takes over the
        # public gateway is still outside.
        acl from_tunnel src 127.0.0.1
        acl public_name req.ssl_sni -i ${lib.concatStringsSep " " publicNames}
        tcp-request content reject if { req.ssl_hello_type 1 } from_tunnel !public_name
        tcp-request content accept if { req.ssl_hello_type 1 }
      ${lib.optionalString (
        cluster != null
      ) "  use_backend kubernetes-ingress if { req.ssl_sni -m end .${cluster.domain} }"}
        default_backend caddy

      backend caddy
        # No check: the only server there is would be taken for down for seconds after it has come back. What an
        # authority asks in that time, it does not ask again, and the certificate is minutes late.
        server caddy 127.0.0.1:${toString httpsPort} send-proxy-v2

      backend kubernetes-ingress
        balance roundrobin
      ${servers 443 "check"}

      frontend kubernetes-api
        bind :6443
        default_backend kubernetes-api

      backend kubernetes-api
        balance leastconn
        option httpchk
        http-check send meth GET uri /readyz hdr Host kubernetes
        http-check expect rstatus ^(200|401)$
      ${servers 6443 "check check-ssl verify none inter 5s fall 3"}

      frontend metrics
        bind :${toString metricsPort}
        mode http
        timeout client 10s
        http-request use-service prometheus-exporter if { path /metrics }
        http-request return status 404
    '';
  };

  aether.firewall.allow.kubernetes-api = {
    tcp = [ 6443 ];
    from = [
      "servers"
      "clients"
      "kubernetes"
    ];
  };
}
