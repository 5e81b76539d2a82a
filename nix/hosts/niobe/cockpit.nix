# Cockpit for the whole fleet: one page, every host behind it over SSH.
{
  config,
  lib,
  aether,
  ...
}:
let
  service = aether.services.cockpit;
  cert = config.aether.certificates.hosts.cockpit;
  operator = config.aether.users.operator;
  # Hosts with a bridge of their own (aether.console) or a distribution's cockpit.
  fleet = lib.filterAttrs (
    name: host: name != aether.name && (aether.lib.hosts.nixos ? ${name} || host.kind == "atomic")
  ) aether.hosts;
in
{
  imports = [ ../../profiles/appliance.nix ];

  services.cockpit = {
    enable = true;
    inherit (service) port;
    allowed-origins = [ "https://${service.fqdn}" ];
    settings = {
      WebService = {
        LoginTitle = "Aether";
        # Other hosts are reached by SSH from here, with keys that the inventory knows.
        LoginTo = true;
        AllowMultiHost = true;
        # Caddy says who asks, so that the limits on failed logins count people, not the gateway.
        ForwardedForHeader = "X-Forwarded-For";
      };
      Session.IdleTimeout = 15;
    };
  };

  environment.etc = {
    "cockpit/machines.d/10-aether.json".text = builtins.toJSON (
      lib.mapAttrs (_: host: {
        inherit (host) address;
        user = operator;
        visible = true;
      }) fleet
    );
  };

  # cockpit-tls takes the last certificate in this folder.
  systemd.tmpfiles.rules = [
    "L+ /etc/cockpit/ws-certs.d/50-aether.cert - - - - ${cert.cert}"
    "L+ /etc/cockpit/ws-certs.d/50-aether.key - - - - ${cert.key}"
  ];
  aether.certificates.hosts.cockpit = {
    units = [ "cockpit.service" ];
    # cockpit-tls ends a minute and a half after its last connection, and reads them when the next one comes.
    rereads = true;
  };

  aether.secrets.fleet-ssh-key = {
    owner = operator;
  };
  programs.ssh.extraConfig = ''
    Match localuser ${operator}
      IdentityFile ${config.sops.secrets.fleet-ssh-key.path}
  '';
}
