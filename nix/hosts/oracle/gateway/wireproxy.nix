# WireProxy: the link to the public gateway, WireGuard in user space. The public gateway reaches two ports of this
# host through it, those of the cloud's relays, and nothing else of the homelab: there is no interface to route over.
{
  config,
  lib,
  pkgs,
  aether,
  ...
}:
let
  cfg = config.aether.wireproxy;
  # What machines beside the public gateway send to a host at home.
  relay = _: facts: ''
    [TCPServerTunnel]
    ListenPort = ${toString facts.listen}
    Target = ${aether.inventory.address facts.host}:${toString facts.port}

  '';
in
{
  options.aether.wireproxy = {
    address = lib.mkOption {
      type = lib.types.str;
      default = "10.99.0.2/32";
      description = "Address of this end of the tunnel; ansible/ gives the public gateway the other end.";
    };
    peer = {
      endpoint = lib.mkOption {
        type = lib.types.str;
        default = "public-gateway.${aether.site.public_domain}:51820";
        description = "Where the public gateway listens.";
      };
      publicKey = lib.mkOption {
        type = lib.types.str;
        default = lib.fileContents ../../../pki/public-gateway-wireguard.pub;
        description = "WireGuard public key of the public gateway.";
      };
      address = lib.mkOption {
        type = lib.types.str;
        default = "10.99.0.1/32";
        description = "The public gateway's address in the tunnel.";
      };
    };
  };

  config = {
    aether.secrets.wireguard-private-key = { };
    sops.templates."wireproxy.conf" = {
      restartUnits = [ "wireproxy.service" ];
      content = ''
        [Interface]
        PrivateKey = ${config.sops.placeholder.wireguard-private-key}
        Address = ${cfg.address}
        # The other end forgets where this one is when it restarts: a question that gets no answer dials again, a bare
        # keepalive does not for two minutes.
        CheckAlive = ${lib.head (lib.splitString "/" cfg.peer.address)}
        CheckAliveInterval = 10

        [Peer]
        PublicKey = ${cfg.peer.publicKey}
        Endpoint = ${cfg.peer.endpoint}
        AllowedIPs = ${cfg.peer.address}
        PersistentKeepalive = 25

        [TCPServerTunnel]
        ListenPort = 443
        Target = 127.0.0.1:443

        [TCPServerTunnel]
        ListenPort = 80
        Target = 127.0.0.1:80

        ${lib.concatStrings (lib.mapAttrsToList relay aether.inventory.relays)}
      '';
    };

    # It ends where the other end's name does not resolve; the public gateway is of another stack.
    aether.waitsFor."wireproxy.service" = [ "public-gateway" ];
    systemd.services.wireproxy = {
      description = "WireGuard in user space: link to the public gateway";
      wantedBy = [ "multi-user.target" ];
      wants = [ "network-online.target" ];
      after = [ "network-online.target" ];
      startLimitIntervalSec = 0;
      serviceConfig = {
        ExecStart = "${lib.getExe pkgs.wireproxy} --silent --config %d/wireproxy.conf";
        LoadCredential = "wireproxy.conf:${config.sops.templates."wireproxy.conf".path}";
        DynamicUser = true;
        Restart = "always";
        RestartSec = "5s";
        # It opens sockets and nothing else.
        CapabilityBoundingSet = "";
        LockPersonality = true;
        MemoryDenyWriteExecute = true;
        NoNewPrivileges = true;
        PrivateDevices = true;
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHome = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        ProtectSystem = "strict";
        RestrictAddressFamilies = [
          "AF_INET"
          "AF_INET6"
        ];
        RestrictNamespaces = true;
        RestrictRealtime = true;
        SystemCallArchitectures = "native";
        SystemCallFilter = [ "@system-service" ];
      };
    };
  };
}
