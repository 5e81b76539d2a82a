# The Kubernetes cluster as the homelab's hosts see it: names, who may log in to it, and as whom it logs in elsewhere.
# null where the inventory has no host tagged `kubernetes`.
{ inventory }:
let
  nodes = inventory.tagged "kubernetes";
  names = builtins.attrNames nodes;
  site = inventory.siteOf (builtins.head names);
in
if names == [ ] then
  null
else
  rec {
    inherit nodes;
    # What the cluster serves is called NAME.k8s.DOMAIN; the gateway hands it over unopened, by the name in the TLS hello.
    domain = "k8s.${site.domain}";
    api = rec {
      name = "api.${domain}";
      port = 6443;
      url = "https://${name}:${toString port}";
    };

    # People: Keycloak's client, and what its claims become. A prefix keeps them apart from the cluster's own accounts.
    login = {
      client = "kubernetes";
      # kubelogin listens at the first that is free.
      redirects = [
        "http://localhost:8000"
        "http://localhost:18000"
      ];
      inherit (inventory) issuer;
      # By the name that always has a certificate of the own authority; the public one has the world's, where it can be had.
      discovery = "${inventory.issuerInside}/.well-known/openid-configuration";
      prefix = "keycloak:";
      admins = "admins";
    };

    # Programs: what each may at OpenBao is its policy there. Tokens are made for OpenBao, not taken from elsewhere.
    audience = "openbao";
    accounts = {
      external-secrets = {
        namespace = "external-secrets";
        account = "openbao";
      };
      cert-manager = {
        namespace = "cert-manager";
        account = "openbao";
      };
    };
  }
