# qBittorrent, inside the VPN's namespace and nowhere else. Its page is reached by a socket that systemd holds on the
# host and a proxy that lives in the namespace: a file descriptor is handed over, no network connects the two.
{
  config,
  lib,
  pkgs,
  aether,
  ...
}:
let
  service = aether.services.torrent;
  inherit (config.aether.media) vpn;
  files = "/srv/media/torrents";

  # What binds a unit to the namespace: it starts after the tunnel, and stops when the tunnel does.
  inside = {
    bindsTo = [ vpn.unit ];
    after = [
      vpn.unit
      "systemd-resolved.service"
    ];
    serviceConfig = {
      NetworkNamespacePath = vpn.path;
      BindReadOnlyPaths = [ "/etc/netns/${vpn.namespace}/resolv.conf:/etc/resolv.conf" ];
      # The host's resolvers answer over sockets that know no namespace: they would ask outside the tunnel.
      # (Sockets by name: resolv.conf itself is a link into that directory, and is replaced above.)
      InaccessiblePaths = [
        "-/run/nscd"
        "-/run/systemd/resolve/io.systemd.Resolve"
        "-/run/systemd/resolve/io.systemd.Resolve.Monitor"
        "-/run/dbus"
      ];
    };
  };
in
{
  services.qbittorrent = {
    enable = true;
    group = "media";
    webuiPort = service.port;
    torrentingPort = vpn.port;
    extraArgs = [ "--confirm-legal-notice" ];
    serverConfig = {
      LegalNotice.Accepted = true;
      BitTorrent.Session = {
        # Belt to the namespace's braces.
        Interface = vpn.interface;
        InterfaceName = vpn.interface;
        DefaultSavePath = "${files}/complete";
        TempPath = "${files}/incomplete";
        TempPathEnabled = true;
        GlobalMaxRatio = 2;
        # A tunnel has no neighbours and no router to ask for a port.
        LSDEnabled = false;
      };
      Network.PortForwardingEnabled = false;
      Preferences.WebUI = {
        # The proxy beside it is the only one who can connect, and the gateway the only one who reaches the proxy.
        Address = "127.0.0.1";
        LocalHostAuth = false;
        ServerDomains = service.fqdn;
        HostHeaderValidation = true;
        CSRFProtection = true;
      };
    };
  };

  systemd.services.qbittorrent = lib.mkMerge [
    inside
    {
      unitConfig.RequiresMountsFor = files;
      serviceConfig = {
        # Files for the group, so that Jellyfin may read them.
        UMask = "0002";
        # No sockets of other kinds: not to the host's daemons, not raw, not of the kernel's key or packet families.
        RestrictAddressFamilies = lib.mkForce [
          "AF_INET"
          "AF_INET6"
          "AF_NETLINK"
        ];
        ReadWritePaths = [ files ];
        Restart = "on-failure";
        TimeoutStopSec = lib.mkForce 120;
      };
    }
  ];

  systemd.sockets.qbittorrent-page = {
    description = "qBittorrent's page, for the gateway";
    wantedBy = [ "sockets.target" ];
    listenStreams = [ "0.0.0.0:${toString service.port}" ];
  };
  systemd.services.qbittorrent-page = lib.mkMerge [
    inside
    {
      description = "Hands connections to qBittorrent's page into the VPN's namespace";
      requires = [ "qbittorrent-page.socket" ];
      serviceConfig = {
        ExecStart = "${pkgs.systemd}/lib/systemd/systemd-socket-proxyd --exit-idle-time=10min 127.0.0.1:${toString service.port}";
        DynamicUser = true;
        ProtectSystem = "strict";
        ProtectHome = true;
        PrivateDevices = true;
        NoNewPrivileges = true;
        CapabilityBoundingSet = "";
        RestrictAddressFamilies = [
          "AF_INET"
          "AF_UNIX"
        ];
      };
    }
  ];

  assertions = [
    {
      assertion =
        let
          unit = config.systemd.services.qbittorrent;
        in
        unit.serviceConfig.NetworkNamespacePath or "" == vpn.path
        && lib.elem vpn.unit unit.bindsTo
        && lib.elem vpn.unit unit.after
        && !(unit.serviceConfig ? Sockets);
      message = "qbittorrent.service must live in ${vpn.path} and end with ${vpn.unit}: restore NetworkNamespacePath and BindsTo in nix/hosts/trinity/media/torrents.nix.";
    }
  ];
}
