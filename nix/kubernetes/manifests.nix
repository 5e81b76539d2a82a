# Who may what in the cluster by what Keycloak says, and the accounts by which its programs get secrets and certificates
# at OpenBao. cert-manager and the External Secrets Operator have to be there.
{
  cluster,
  read,
  server,
}:
let
  inherit (cluster) accounts;
  rbac = "rbac.authorization.k8s.io";
  binding = name: role: subjects: {
    apiVersion = "${rbac}/v1";
    kind = "ClusterRoleBinding";
    metadata.name = name;
    roleRef = {
      apiGroup = rbac;
      kind = "ClusterRole";
      name = role;
    };
    inherit subjects;
  };
  serviceAccount =
    { namespace, account }:
    {
      kind = "ServiceAccount";
      name = account;
      inherit namespace;
    };
  names = builtins.attrNames accounts;
  # The homelab's authority, which OpenBao's certificate is of.
  authority = {
    name = "homelab-root";
    key = "ca.crt";
    content.${authority.key} = read "root_ca.crt";
  };
  # A token for OpenBao, and for the cluster, which OpenBao shows it to.
  audiences = [
    cluster.audience
    "https://kubernetes.default.svc"
  ];
in
[
  (binding "aether:admins" "cluster-admin" [
    {
      apiGroup = rbac;
      kind = "Group";
      name = cluster.login.prefix + cluster.login.admins;
    }
  ])
  # OpenBao asks the cluster about a token with that token: who may do so learns nothing but whose it is.
  (binding "aether:openbao" "system:auth-delegator" (
    map (name: serviceAccount accounts.${name}) names
  ))
]
++ map (name: {
  apiVersion = "v1";
  kind = "ServiceAccount";
  metadata = {
    name = accounts.${name}.account;
    inherit (accounts.${name}) namespace;
  };
}) names
++ [
  {
    apiVersion = "v1";
    kind = "ConfigMap";
    metadata = {
      inherit (authority) name;
      inherit (accounts.external-secrets) namespace;
    };
    data = authority.content;
  }
  {
    apiVersion = "v1";
    # cert-manager reads no other kind.
    kind = "Secret";
    metadata = {
      inherit (authority) name;
      inherit (accounts.cert-manager) namespace;
    };
    stringData = authority.content;
  }
  {
    apiVersion = "external-secrets.io/v1";
    kind = "ClusterSecretStore";
    metadata.name = "openbao";
    spec.provider.vault = {
      inherit server;
      path = "kv";
      version = "v2";
      caProvider = {
        type = "ConfigMap";
        inherit (authority) name key;
        inherit (accounts.external-secrets) namespace;
      };
      auth.kubernetes = {
        mountPath = "kubernetes";
        role = "external-secrets";
        serviceAccountRef = {
          name = accounts.external-secrets.account;
          inherit (accounts.external-secrets) namespace;
          inherit audiences;
        };
      };
    };
  }
  {
    apiVersion = "${rbac}/v1";
    kind = "Role";
    metadata = {
      name = "openbao-tokens";
      inherit (accounts.cert-manager) namespace;
    };
    rules = [
      {
        apiGroups = [ "" ];
        resources = [ "serviceaccounts/token" ];
        resourceNames = [ accounts.cert-manager.account ];
        verbs = [ "create" ];
      }
    ];
  }
  {
    apiVersion = "${rbac}/v1";
    kind = "RoleBinding";
    metadata = {
      name = "openbao-tokens";
      inherit (accounts.cert-manager) namespace;
    };
    roleRef = {
      apiGroup = rbac;
      kind = "Role";
      name = "openbao-tokens";
    };
    subjects = [
      {
        kind = "ServiceAccount";
        name = "cert-manager";
        inherit (accounts.cert-manager) namespace;
      }
    ];
  }
  {
    apiVersion = "cert-manager.io/v1";
    kind = "ClusterIssuer";
    metadata.name = "openbao";
    spec.vault = {
      inherit server;
      path = "pki/sign/kubernetes";
      caBundleSecretRef = { inherit (authority) name key; };
      auth.kubernetes = {
        mountPath = "/v1/auth/kubernetes";
        role = "cert-manager";
        serviceAccountRef = {
          name = accounts.cert-manager.account;
          inherit audiences;
        };
      };
    };
  }
]
