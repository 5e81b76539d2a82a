# Thread border router: the mesh of the radio gets routes to the home network, and Matter its controller.
{ lib, ... }:
let
  radio = "/dev/thread";
  unit = "dev-thread.device";
  # The one network card of this VM, by the name of its place on Proxmox (q35, net0). A name of our own would be
  # there after a boot only, and the first switch would wait for it for ever.
  backbone = "enp6s18";
  mesh = "wpan0";
  matterPort = 5580;
in
{
  # A router that forwards still learns its own routes.
  systemd.network.networks."05-main".networkConfig.IPv6AcceptRA = true;

  services.openthread-border-router = {
    enable = true;
    backboneInterfaces = [ backbone ];
    interfaceName = mesh;
    logLevel = "warning";
    radio = {
      device = radio;
      baudRate = 460800;
    };
    # Home Assistant asks it on loopback.
    rest.listenAddress = "127.0.0.1";
  };
  systemd.services.otbr-agent = {
    bindsTo = [ unit ];
    after = [ unit ];
    wantedBy = [ unit ];
    # Until then it is a mesh without a way out, not an error.
    startLimitIntervalSec = 0;
  };
  boot.kernelModules = [ "ip6table_filter" ];

  services.matter-server = {
    enable = true;
    port = matterPort;
    extraArgs = {
      listen-address = "127.0.0.1";
      primary-interface = backbone;
    };
  };

  # Service discovery from both sides, and what Thread devices ask the border router for: names, registration of
  # services (SRP), and mesh management.
  networking.firewall.interfaces.${mesh} = {
    allowedUDPPorts = [
      53
      5353
      61631
    ];
    allowedUDPPortRanges = [
      {
        from = 53535;
        to = 53554;
      }
    ];
  };
  aether.firewall.allow.mdns = {
    udp = [ 5353 ];
    from = [ "servers" ];
  };

  # The credentials of both fabrics: without them every device is paired again.
  aether.backup.paths = [
    "/var/lib/thread"
    "/var/lib/private/matter-server"
  ];

  assertions = [
    {
      assertion = lib.hasPrefix "/dev/" radio && unit == "dev-${lib.removePrefix "/dev/" radio}.device";
      message = "The Thread radio ${radio} and its unit ${unit} must name the same device.";
    }
  ];
}
