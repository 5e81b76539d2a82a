# step-ca: the homelab's certificates. The root's key is offline; the intermediate signs here, for ACME (hosts, the
# gateway) and for SSH (provisioners.nix). README.md says how to renew what only the owner can.
{
  config,
  lib,
  pkgs,
  aether,
  ...
}:
let
  service = aether.services.ca;
  fqdn = aether.inventory.fqdn aether.name;
  state = "/var/lib/step-ca";
  secret = name: config.sops.secrets.${name}.path;
  metricsPort = config.aether.otel.exporters.step-ca;
in
{
  imports = [
    ../../../profiles/appliance.nix
    ./backup.nix
    ./provisioners.nix
  ];

  # The authority without the host: with its keys mounted it signs as this one does.
  aether.oci.step-ca = {
    ports = [ "${toString service.port}/tcp" ];
    etc = [ "smallstep/ca.json" ];
    volumes = [ "/run/secrets" ];
  };

  services.step-ca = {
    enable = true;
    address = "";
    inherit (service) port;
    settings = {
      root = "${config.aether.certificates.rootFile}";
      crt = "${../../../pki/intermediate_ca.crt}";
      key = secret "intermediate-key";
      dnsNames = [
        fqdn
        service.fqdn
        aether.host.address
        # The health of this host is asked here.
        "localhost"
      ];
      commonName = "Aether step-ca";
      ssh = {
        hostKey = secret "ssh-host-ca-key";
        userKey = secret "ssh-user-ca-key";
      };
      db = {
        type = "badgerv2";
        dataSource = "${state}/db";
        # 512 MiB are all there is.
        badgerFileLoadingMode = "FileIO";
      };
      # The list of what was revoked is read without TLS: whoever checks it has not trusted anything yet.
      insecureAddress = ":80";
      crl = {
        enabled = true;
        generateOnRevoke = true;
        cacheDuration = "24h";
        renewPeriod = "16h";
        idpURL = config.aether.stepCa.crl;
      };
      metricsAddress = "${aether.host.address}:${toString metricsPort}";
      logger.format = "json";
      tls = {
        minVersion = 1.2;
        maxVersion = 1.3;
        renegotiation = false;
        cipherSuites = [
          "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"
          "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
        ];
      };
    };
  };

  aether.secrets =
    lib.genAttrs
      [
        "intermediate-key"
        "ssh-host-ca-key"
        "ssh-user-ca-key"
      ]
      (_: {
        owner = "step-ca";
        restartUnits = [ "step-ca.service" ];
      });

  systemd.services.step-ca.serviceConfig = {
    ProtectSystem = lib.mkForce "strict";
    CapabilityBoundingSet = "CAP_NET_BIND_SERVICE";
    MemoryMax = "256M";
  };

  environment.systemPackages = [ pkgs.step-cli ];

  aether.firewall.allow.ca = {
    tcp = [
      service.port
      80
    ];
    # Whoever has a certificate renews it and reads the revocation list.
    from = lib.attrNames aether.networks;
  };
}
