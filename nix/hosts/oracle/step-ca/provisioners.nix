# Who may have which certificate. Policy holds for all provisioners: names outside the site's domain are refused
# whatever a template says.
{
  config,
  lib,
  pkgs,
  aether,
  ...
}:
let
  base64 = import ./base64.nix { inherit lib; };
  inherit (config.aether.stepCa) crl;
  inherit (aether.site) domain;
  operators = [ config.aether.users.operator ];
  inherit (aether.lib) deployUser;
  # Those who deploy a part of the fleet: the principal by the group.
  parts = lib.mapAttrs' (
    group: _: lib.nameValuePair (deployUser.groupOf group) (deployUser.principalOf group)
  ) aether.inventory.deployers;
  # The gateway's, where no public authority gives it one.
  publicNames = lib.mapAttrsToList (_: service: service.publicFqdn) (
    lib.filterAttrs (_: service: service.public) aether.services
  );
  never = what: "{{ fail ${builtins.toJSON what} }}";
in
{
  options.aether.stepCa.crl = lib.mkOption {
    type = lib.types.str;
    default = "http://${aether.inventory.fqdn aether.name}/1.0/crl";
    defaultText = lib.literalMD "`/1.0/crl` of this host";
    description = "Where certificates say that the revocation list is.";
  };

  config = {
    services.step-ca.settings.authority = {
      enableAdmin = false;
      backdate = "1m";
      claims = {
        minTLSCertDuration = "5m";
        # Long enough to survive a weekend of this host being away, short enough for revocation to hardly matter.
        defaultTLSCertDuration = "48h";
        maxTLSCertDuration = "72h";
        minUserSSHCertDuration = "5m";
        defaultUserSSHCertDuration = "8h";
        maxUserSSHCertDuration = "16h";
        minHostSSHCertDuration = "5m";
        defaultHostSSHCertDuration = "720h";
        maxHostSSHCertDuration = "1680h";
        enableSSHCA = false;
        disableRenewal = false;
        allowRenewalAfterExpiry = false;
      };
      policy = {
        x509 = {
          allow.dns = [
            domain
            "*.${domain}"
          ]
          ++ publicNames;
          allowWildcardNames = false;
        };
        ssh = {
          host.allow.dns = [ "*.${domain}" ];
          user.allow.principal = operators ++ [ deployUser.name ] ++ lib.attrValues parts;
          user.deny.principal = [ "root" ];
        };
      };

      provisioners = [
        # Hosts and the gateway, over HTTP-01: whoever answers at a name may have its certificate.
        {
          type = "ACME";
          name = "acme";
          forceCN = true;
          challenges = [
            "http-01"
            "tls-alpn-01"
          ];
          options.x509 = {
            templateFile = "${./leaf.tpl}";
            templateData.crl = crl;
          };
        }
        # People: a login at Keycloak is worth an SSH certificate for the working day.
        {
          type = "OIDC";
          name = "keycloak";
          clientID = "step-ca";
          # A command line keeps no secret; PKCE protects the exchange.
          clientSecret = "";
          configurationEndpoint = "${config.aether.web.issuer}/.well-known/openid-configuration";
          listenAddress = ":10000";
          domains = [ aether.site.public_domain ];
          groups = [
            "admins"
            "deployers"
          ]
          ++ lib.attrNames parts;
          claims.enableSSHCA = true;
          options = {
            # Administrators are themselves, and may deploy; deployers may that alone, from where operators are.
            ssh = {
              templateFile = "${./ssh-user.tpl}";
              templateData = {
                deploy = deployUser.name;
                from = lib.concatStringsSep "," (
                  lib.concatMap aether.inventory.cidrs (
                    lib.filter (network: aether.inventory.networks ? ${network}) config.aether.ssh.operators
                  )
                );
              }
              // lib.optionalAttrs (parts != { }) { inherit parts; };
            };
            x509.template = never "people get SSH certificates here";
          };
        }
        # Hosts: the certificate that ACME gave a host is worth an SSH host certificate for the same names.
        {
          type = "X5C";
          name = "hosts";
          roots = base64 (builtins.readFile config.aether.certificates.rootFile);
          claims.enableSSHCA = true;
          options = {
            ssh.templateFile = "${./ssh-host.tpl}";
            x509.template = never "hosts get X.509 certificates by ACME";
          };
        }
        # Renewal of SSH host certificates with the certificate itself.
        {
          type = "SSHPOP";
          name = "sshpop";
          claims.enableSSHCA = true;
        }
      ];
    };

    # step-ca starts before Keycloak, whose certificate it signs: its OIDC provisioner sleeps until it is asked again.
    systemd.services.step-ca-oidc = {
      description = "Wake step-ca's OIDC provisioner once Keycloak answers";
      after = [ "step-ca.service" ];
      path = [
        config.systemd.package
        pkgs.curl
        pkgs.jq
      ];
      environment = {
        CA_URL = "https://localhost:${toString config.services.step-ca.port}";
        CA_ROOT = "${config.aether.certificates.rootFile}";
        DISCOVERY = "${config.aether.web.issuer}/.well-known/openid-configuration";
      };
      serviceConfig = {
        Type = "oneshot";
        ExecStart = "${lib.getExe pkgs.bash} ${./wake-oidc.sh}";
      };
    };
    systemd.timers.step-ca-oidc = {
      wantedBy = [ "timers.target" ];
      timerConfig = {
        OnBootSec = "2min";
        OnUnitActiveSec = "5min";
      };
    };
  };
}
