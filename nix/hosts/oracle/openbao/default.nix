# OpenBao: secrets for Kubernetes and for programs that ask at run time. Storage is raft on this host; it unseals itself
# (README.md says with what, and why). What is in it, besides the secrets, is code: configuration.nix.
{
  config,
  lib,
  pkgs,
  aether,
  ...
}:
let
  service = aether.services.bao;
  fqdn = aether.inventory.fqdn aether.name;
  cert = config.aether.certificates.hosts.openbao;
  credentials = "/run/credentials/openbao.service";
in
{
  imports = [
    ../../../profiles/appliance.nix
    ./configuration.nix
    ./metrics.nix
    ./snapshots.nix
  ];

  services.openbao = {
    enable = true;
    settings = {
      ui = true;
      api_addr = "https://${fqdn}:${toString service.port}";
      cluster_addr = "https://${aether.host.address}:8201";
      cluster_name = aether.site.name;
      default_lease_ttl = "24h";
      max_lease_ttl = "768h";
      log_format = "json";

      storage.raft = {
        path = "/var/lib/openbao";
        node_id = aether.name;
      };

      seal.static = {
        current_key_id = "1";
        current_key = "file://${credentials}/seal-key";
      };

      listener = {
        network = {
          type = "tcp";
          address = "${aether.host.address}:${toString service.port}";
          tls_cert_file = cert.cert;
          tls_key_file = cert.key;
          tls_min_version = "tls12";
          # The gateway says who asked; nobody else is believed.
          x_forwarded_for_authorized_addrs = [ "${aether.inventory.address "gateway"}/32" ];
          x_forwarded_for_reject_not_present = false;
          x_forwarded_for_reject_not_authorized = false;
        };
        # What configures, measures and saves this server runs beside it, also while there is no certificate.
        local = {
          type = "tcp";
          address = "127.0.0.1:8202";
          tls_disable = true;
          telemetry.unauthenticated_metrics_access = true;
        };
      };

      # Two devices: a request is served as long as one of them has written it down.
      audit = [
        {
          file.journal = {
            description = "To the journal, and from there to Loki";
            options.file_path = "stdout";
          };
        }
        {
          file.disk = {
            description = "On this host";
            options.file_path = "/var/log/openbao/audit.log";
          };
        }
      ];

      # The very first start: an account for configuration.nix, so that no root token is ever shown to anybody.
      initialize = [
        {
          configuration.request = [
            {
              policy = {
                operation = "update";
                path = "sys/policies/acl/configuration";
                data.policy = builtins.readFile ./policies/configuration.hcl;
              };
            }
            {
              local = {
                operation = "update";
                path = "sys/auth/local";
                data = {
                  type = "userpass";
                  description = "Accounts of this host's own units";
                };
              };
            }
            {
              account = {
                operation = "update";
                path = "auth/local/users/configuration";
                data = {
                  password = {
                    eval_source = "file";
                    eval_type = "string";
                    path = "${credentials}/configuration-password";
                  };
                  token_policies = [ "configuration" ];
                  token_bound_cidrs = [ "127.0.0.1/32" ];
                  token_ttl = "10m";
                  token_max_ttl = "10m";
                };
              };
            }
          ];
        }
      ];
    };
  };

  aether.secrets = {
    seal-key = { };
    configuration-password = { };
  };

  users.groups.openbao-tls = { };
  aether.certificates.hosts.openbao = {
    group = "openbao-tls";
    units = [ "openbao.service" ];
  };

  systemd.services.openbao = {
    # It unseals itself, so a restart for a new configuration costs seconds and nobody's attention.
    restartIfChanged = lib.mkForce true;
    serviceConfig = {
      LoadCredential = [
        "seal-key:${config.sops.secrets.seal-key.path}"
        "configuration-password:${config.sops.secrets.configuration-password.path}"
      ];
      SupplementaryGroups = [ "openbao-tls" ];
      LogsDirectory = "openbao";
      LogsDirectoryMode = "0700";
      MemoryMax = "640M";
      NoNewPrivileges = true;
      ProtectSystem = "strict";
    };
  };

  services.logrotate.settings.openbao-audit = {
    files = "/var/log/private/openbao/audit.log";
    frequency = "weekly";
    rotate = 12;
    compress = true;
    delaycompress = true;
    missingok = true;
    notifempty = true;
    # OpenBao makes the new file itself when it is told to look again.
    nocreate = true;
    postrotate = "${lib.getExe' config.systemd.package "systemctl"} reload openbao.service";
  };

  # For people on this host: `bao login -method=oidc`.
  environment.variables.BAO_ADDR = config.services.openbao.settings.api_addr;
  environment.systemPackages = [ pkgs.jq ];

  aether.firewall.allow.openbao = {
    tcp = [ service.port ];
    from = [
      "kubernetes"
      "servers"
    ];
  };
}
