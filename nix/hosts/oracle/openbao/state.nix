# The state that configure.sh brings about. `writes` happen in order, each safe to repeat; `files` of a write are
# fields whose value is read from credentials (by name) or store paths, concatenated. `databases` are another unit's: they
# are on hosts that come later.
{
  config,
  lib,
  aether,
}:
let
  api = config.services.openbao.settings.api_addr;
  inherit (aether.site) domain;
  inherit (aether.lib) cluster;
  accounts = if cluster == null then { } else cluster.accounts;
  policy = name: builtins.readFile (./policies + "/${name}.hcl");
in
rec {
  mounts = {
    kv = {
      type = "kv";
      description = "Static secrets, versioned";
      options.version = "2";
    };
    pki = {
      type = "pki";
      description = "Certificates for workloads; this CA is signed by the offline root";
      config = {
        default_lease_ttl = "72h";
        max_lease_ttl = "87600h";
      };
    };
    database = {
      type = "database";
      description = "Database accounts made on demand";
      config = {
        default_lease_ttl = "1h";
        max_lease_ttl = "24h";
      };
    };
  };

  auth = {
    local = {
      type = "userpass";
      description = "Accounts of this host's own units";
    };
    oidc = {
      type = "oidc";
      description = "People, by Keycloak";
      config.listing_visibility = "unauth";
    };
  }
  // lib.optionalAttrs (cluster != null) {
    kubernetes = {
      type = "kubernetes";
      description = "Programs of the Kubernetes cluster, by the accounts that they have there";
    };
  };

  policies = lib.genAttrs (
    [
      "admin"
      "configuration"
      "family"
      "snapshot"
    ]
    ++ lib.attrNames accounts
  ) policy;

  # Groups of Keycloak, by the login they come through, and what they may.
  groups = {
    mount = "oidc";
    policies = {
      admins = [ "admin" ];
      family = [ "family" ];
    };
  };

  writes = [
    {
      path = "auth/local/users/snapshot";
      data = {
        token_policies = [ "snapshot" ];
        token_bound_cidrs = [ "127.0.0.1/32" ];
        token_ttl = "10m";
        token_max_ttl = "10m";
      };
      files.password = [ "snapshot-password" ];
    }
    {
      path = "auth/oidc/config";
      data = {
        oidc_discovery_url = config.aether.web.issuer;
        oidc_client_id = "openbao";
        default_role = "people";
        # Keycloak may come up later than this.
        skip_jwks_validation = true;
      };
      files.oidc_client_secret = [ "oidc-client-secret" ];
    }
    {
      path = "auth/oidc/role/people";
      data = {
        role_type = "oidc";
        user_claim = "preferred_username";
        groups_claim = "groups";
        bound_audiences = [ "openbao" ];
        oidc_scopes = [
          "profile"
          "email"
        ];
        allowed_redirect_uris = config.aether.web.clients.openbao.redirects;
        token_ttl = "1h";
        token_max_ttl = "8h";
      };
    }
    {
      path = "kv/config";
      data = {
        max_versions = 10;
        cas_required = false;
      };
    }
    {
      path = "pki/config/urls";
      data = {
        issuing_certificates = [ "${api}/v1/pki/ca" ];
        crl_distribution_points = [ "${api}/v1/pki/crl" ];
      };
    }
    {
      # The same bundle again changes nothing.
      path = "pki/config/ca";
      data = { };
      files.pem_bundle = [
        "pki-ca-key"
        "${../../../pki/openbao_ca.crt}"
      ];
    }
    {
      path = "pki/config/crl";
      data = {
        expiry = "72h";
        auto_rebuild = true;
        auto_rebuild_grace_period = "12h";
      };
    }
    {
      path = "pki/config/auto-tidy";
      data = {
        enabled = true;
        tidy_cert_store = true;
        tidy_revoked_certs = true;
        interval_duration = "12h";
      };
    }
    {
      path = "pki/roles/kubernetes";
      data = {
        allowed_domains = [
          "cluster.local"
          domain
        ];
        allow_subdomains = true;
        allow_bare_domains = false;
        allow_glob_domains = false;
        allow_ip_sans = false;
        allow_localhost = false;
        key_type = "ec";
        key_bits = 256;
        max_ttl = "72h";
        no_store = false;
      };
    }
  ]
  ++ lib.optional (cluster != null) {
    path = "auth/kubernetes/config";
    data = {
      kubernetes_host = cluster.api.url;
      # This host is in no cluster. A token is shown to the cluster that gave it, as itself: OpenBao has none of its own there.
      disable_local_ca_jwt = true;
      kubernetes_ca_cert = builtins.readFile ../../../pki/kubernetes_ca.crt;
    };
  }
  ++ lib.mapAttrsToList (name: account: {
    path = "auth/kubernetes/role/${name}";
    data = {
      bound_service_account_names = [ account.account ];
      bound_service_account_namespaces = [ account.namespace ];
      inherit (cluster) audience;
      token_policies = [ name ];
      token_bound_cidrs = [ aether.networks.kubernetes.cidr ];
      token_ttl = "1h";
      token_max_ttl = "4h";
    };
  }) accounts;

  databases = import ./databases.nix { inherit lib aether; };
}
