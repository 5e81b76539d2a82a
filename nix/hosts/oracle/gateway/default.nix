# Ingress for everything. HAProxy holds the public ports and decides by SNI; Caddy serves the web services of the
# inventory; Tailscale lets the owner in from anywhere, WireProxy brings the world's requests from the public gateway.
{
  imports = [
    ../../../profiles/appliance.nix
    ./caddy.nix
    ./haproxy.nix
    ./oauth2-proxy.nix
    ./tailscale.nix
    ./wireproxy.nix
  ];

  aether.firewall.allow.web.tcp = [
    80
    443
  ];

  # Tokens of tailnet and ACME accounts can be made again; a burst of new certificates is rate-limited, though.
  aether.backup.paths = [
    "/var/lib/caddy"
    "/var/lib/tailscale"
  ];
}
