# Trust in the homelab's own CA, and certificates from it by ACME (host step-ca).
{
  config,
  lib,
  aether,
  ...
}:
let
  inherit (lib) types mkOption;
  cfg = config.aether.certificates;
  # Services of a certificate that cannot be reloaded.
  restarted =
    cert:
    lib.filter (
      unit: !(config.systemd.services.${lib.removeSuffix ".service" unit}.serviceConfig ? ExecReload)
    ) cert.units;
in
{
  options.aether.certificates = {
    rootFile = mkOption {
      type = types.path;
      default = aether.lib.files.alone ../pki/root_ca.crt;
      defaultText = lib.literalMD "`nix/pki/root_ca.crt`";
      description = "Certificate of the offline root; public, therefore tracked.";
    };
    directory = mkOption {
      type = types.str;
      default = "https://${aether.inventory.fqdn "step-ca"}:8443/acme/acme/directory";
      description = "ACME directory of the internal CA.";
    };
    hosts = mkOption {
      default = { };
      description = "Certificates for this host, by name. Files: `config.aether.certificates.hosts.NAME.{cert,key}`.";
      type = types.attrsOf (
        types.submodule (
          { name, ... }:
          {
            options = {
              domain = mkOption {
                type = types.str;
                default = aether.inventory.fqdn aether.name;
                defaultText = lib.literalMD "`<host>.<domain>`";
                description = "Name in the certificate.";
              };
              extraDomains = mkOption {
                type = types.listOf types.str;
                default = [ ];
                description = "Further names. They must lead to this host, not to the gateway, for the CA asks there.";
              };
              group = mkOption {
                type = types.str;
                default = "acme";
                description = "Group that may read the key.";
              };
              units = mkOption {
                type = types.listOf types.str;
                default = [ ];
                description = "Services that wait for the first certificate, and are reloaded when it is renewed: each has an ExecReload.";
              };
              rereads = mkOption {
                type = types.bool;
                default = false;
                description = "Its services look at the files again by themselves, well within a day: nothing is reloaded.";
              };
              cert = mkOption {
                type = types.str;
                readOnly = true;
                default = "/var/lib/acme/${name}/fullchain.pem";
                description = "The certificate with its chain.";
              };
              key = mkOption {
                type = types.str;
                readOnly = true;
                default = "/var/lib/acme/${name}/key.pem";
                description = "The private key.";
              };
            };
          }
        )
      );
    };
  };

  config = lib.mkMerge [
    { security.pki.certificateFiles = [ cfg.rootFile ]; }
    (lib.mkIf (cfg.hosts != { }) {
      security.acme = {
        acceptTerms = true;
        defaults = {
          email = "hostmaster@${aether.site.public_domain}";
          server = cfg.directory;
          # step-ca's certificates live for two days: looked at every hour, and renewed once half of that is over
          # (lego's --dynamic), so a day is left for what fails.
          renewInterval = "hourly";
          renewJitter = "10m";
          validMinDays = null;
        };
        certs = lib.mapAttrs (_: cert: {
          inherit (cert) domain group;
          extraDomainNames = cert.extraDomains;
          # Without an ExecReload, a service would restart and cut its connections at every renewal, about once a day.
          reloadServices = lib.optionals (!cert.rereads) cert.units;
          # A host has no web server of its own; the client answers the challenge itself.
          listenHTTP = lib.mkDefault ":80";
        }) cfg.hosts;
      };
      assertions = lib.mapAttrsToList (name: cert: {
        assertion = cert.rereads || restarted cert == [ ];
        message = "certificate '${name}': ${lib.concatStringsSep ", " (restarted cert)} would restart at each renewal. Give it serviceConfig.ExecReload, or say that it reads the files again by itself: aether.certificates.hosts.${name}.rereads = true.";
      }) cfg.hosts;
      # nixpkgs lets it be a day late, which is half of these certificates' life.
      systemd.timers = lib.mapAttrs' (
        name: _: lib.nameValuePair "acme-renew-${name}" { timerConfig.AccuracySec = lib.mkForce "1min"; }
      ) cfg.hosts;
      # Until the CA is there, services have nixpkgs' self-signed certificate.
      aether.waitsFor = lib.mapAttrs' (
        name: _: lib.nameValuePair "acme-order-renew-${name}.service" [ "step-ca" ]
      ) cfg.hosts;
      aether.persist.directories = [ "/var/lib/acme" ];
      aether.firewall.allow.acme-challenge = {
        tcp = [ 80 ];
        from = [ "step-ca" ];
      };
      systemd.services = lib.mkMerge (
        lib.mapAttrsToList (
          name: cert:
          lib.genAttrs (map (lib.removeSuffix ".service") cert.units) (_: {
            wants = [ "acme-${name}.service" ];
            after = [ "acme-${name}.service" ];
          })
        ) cfg.hosts
      );
    })
  ];
}
