# AdGuard Home: DNS for everything. What it answers of this homelab comes from the inventory (rewrites.nix); the
# rest goes out encrypted. Nothing is changed by hand: each start begins with the generated file.
{
  config,
  lib,
  pkgs,
  aether,
  ...
}:
let
  service = aether.services.adguard;
  cert = config.aether.certificates.hosts.dns;
  # Every network of the inventory asks here.
  networks = lib.attrNames aether.networks;
  router = aether.networks.servers.gateway;
in
{
  imports = [
    ../../../profiles/appliance.nix
    ./filters.nix
    ./rewrites.nix
  ];

  # The resolver without the host, to try its answers elsewhere.
  aether.oci.adguardhome = {
    ports = [
      "53/tcp"
      "53/udp"
      "853/tcp"
      "${toString service.port}/tcp"
    ];
    volumes = [ (dirOf cert.cert) ];
  };

  services.adguardhome = {
    enable = true;
    mutableSettings = false;
    inherit (service) port;
    settings = {
      # No account here: the gateway asks for a login, and the firewall lets nobody else connect (aether.web).
      users = [ ];
      language = "en";
      theme = "auto";

      dns = {
        bind_hosts = [ "0.0.0.0" ];
        port = 53;
        upstream_mode = "parallel";
        upstream_dns = [
          "https://dns.quad9.net/dns-query"
          "tls://dns.quad9.net"
          "https://cloudflare-dns.com/dns-query"
          # Conditional forwarding: leases that only the router knows.
          "[/lan/]${router}"
        ];
        # Who the encrypted resolvers are; asked at start only.
        bootstrap_dns = [
          "9.9.9.10"
          "149.112.112.10"
          "1.1.1.1"
        ];
        fallback_dns = [ "tls://1dot1dot1dot1.cloudflare-dns.com" ];
        upstream_timeout = "5s";
        # Names of private addresses stay at home.
        use_private_ptr_resolvers = true;
        local_ptr_upstreams = [ router ];
        private_networks = map (network: network.cidr) (lib.attrValues aether.networks);
        allowed_clients = map (network: network.cidr) (lib.attrValues aether.networks) ++ [ "127.0.0.0/8" ];
        enable_dnssec = true;
        refuse_any = true;
        # One address may stand for a whole Kubernetes node.
        ratelimit = 200;
        cache_enabled = true;
        cache_size = 16 * 1024 * 1024;
        cache_optimistic = true;
        hostsfile_enabled = false;
        serve_plain_dns = true;
        anonymize_client_ip = false;
      };

      # DNS over TLS for telephones and laptops; the web page stays behind the gateway, so no HTTPS here.
      tls = {
        enabled = true;
        server_name = cert.domain;
        force_https = false;
        port_https = 0;
        port_dns_over_tls = 853;
        port_dns_over_quic = 0;
        certificate_path = cert.cert;
        private_key_path = cert.key;
      };

      # The router leases addresses.
      dhcp.enabled = false;

      querylog = {
        enabled = true;
        file_enabled = true;
        interval = "168h";
        size_memory = 1000;
      };
      statistics = {
        enabled = true;
        interval = "720h";
      };
      # Empty is standard output: the journal. (AdGuard's syslog needs a socket that its sandbox does not let it open.)
      log.file = "";
    };
  };

  # The certificate's group may read the key; renewed ones are taken over without a gap in service.
  users.groups.dns-tls = { };
  systemd.services.adguardhome.serviceConfig = {
    SupplementaryGroups = [ "dns-tls" ];
    ExecReload = "${lib.getExe' pkgs.coreutils "kill"} -HUP $MAINPID";
    MemoryMax = "384M";
  };
  aether.certificates.hosts.dns = {
    group = "dns-tls";
    units = [ "adguardhome.service" ];
  };

  # The resolver asks itself.
  services.resolved.enable = false;
  networking.nameservers = [
    "127.0.0.1"
    router
  ];

  aether.firewall.allow.dns = {
    tcp = [
      53
      853
    ];
    udp = [ 53 ];
    from = networks;
  };
}
