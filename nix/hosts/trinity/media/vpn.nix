# A network namespace whose only way out is WireGuard. The tunnel is made in the host's namespace (its encrypted
# packets leave there) and moved into `vpn`, which holds it, loopback, and nothing else: no link to the host, so no
# route that could leak. Without the tunnel there is no network in there at all.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  namespace = "vpn";
  interface = "vpn0";
  port = 51413;

  # From the provider's configuration file; the private key is secret vpn-private-key.
  provider = {
    address = "10.66.0.2/32";
    dns = "10.66.0.1";
    publicKey = "Im+Qz7cwpfXw29cGzH92mBZfLaw0b/WwSA7eL1BpiH4=";
    # By address: a name would have to be resolved outside the tunnel.
    endpoint = "203.0.113.20:51820";
  };

  ip = "${pkgs.iproute2}/bin/ip";
  # Even inside the tunnel nobody gets in, but by the port that peers are told.
  rules = pkgs.writeText "vpn.nft" ''
    table inet filter {
      chain input {
        type filter hook input priority filter; policy drop;
        iifname "lo" accept
        ct state established,related accept
        iifname "${interface}" tcp dport ${toString port} accept
        iifname "${interface}" udp dport ${toString port} accept
      }
      chain forward {
        type filter hook forward priority filter; policy drop;
      }
      chain output {
        type filter hook output priority filter; policy drop;
        oifname "lo" accept
        oifname "${interface}" accept
      }
    }
  '';
in
{
  options.aether.media.vpn = lib.mkOption {
    type = lib.types.attrsOf lib.types.anything;
    readOnly = true;
    default = {
      inherit namespace interface port;
      inherit (provider) dns;
      unit = "wireguard-${interface}.service";
      path = "/run/netns/${namespace}";
    };
    description = "What a service needs to know to live in the VPN's namespace.";
  };

  config = {
    systemd.services.vpn-namespace = {
      description = "Network namespace of the VPN: loopback, and later the tunnel";
      before = [ "wireguard-${interface}.service" ];
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        # Left over from a start that failed half-way.
        ExecStartPre = "-${ip} netns delete ${namespace}";
        ExecStart = [
          "${ip} netns add ${namespace}"
          "${ip} -n ${namespace} link set lo up"
          "${ip} netns exec ${namespace} ${lib.getExe' pkgs.nftables "nft"} -f ${rules}"
        ];
        # The tunnel goes with the namespace.
        ExecStop = "${ip} netns delete ${namespace}";
      };
    };

    # The module's own backend: networkd cannot move an interface into a named namespace.
    networking.wireguard = {
      useNetworkd = false;
      interfaces.${interface} = {
        interfaceNamespace = namespace;
        ips = [ provider.address ];
        privateKeyFile = config.sops.secrets.vpn-private-key.path;
        mtu = 1420;
        peers = [
          {
            name = "provider";
            inherit (provider) publicKey endpoint;
            allowedIPs = [
              "0.0.0.0/0"
              "::/0"
            ];
            persistentKeepalive = 25;
          }
        ];
      };
    };
    systemd.services."wireguard-${interface}" = {
      bindsTo = [ "vpn-namespace.service" ];
      after = [ "vpn-namespace.service" ];
    };

    # Programs in the namespace ask the provider's resolver, through the tunnel.
    environment.etc."netns/${namespace}/resolv.conf".text = ''
      nameserver ${provider.dns}
      options edns0
    '';

    aether.secrets.vpn-private-key.restartUnits = [ "wireguard-${interface}.service" ];
  };
}
