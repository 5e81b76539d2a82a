# kubectl for people: kubelogin opens the browser at Keycloak and keeps no password.
{ cluster, ... }:
let
  inherit (cluster) login;
in
{
  apiVersion = "v1";
  kind = "Config";
  current-context = cluster.domain;
  contexts = [
    {
      name = cluster.domain;
      context = {
        cluster = cluster.domain;
        user = "keycloak";
      };
    }
  ];
  clusters = [
    {
      name = cluster.domain;
      cluster = {
        server = cluster.api.url;
        # From the folder that this is in: the repository's.
        certificate-authority = "nix/pki/kubernetes_ca.crt";
      };
    }
  ];
  users = [
    {
      name = "keycloak";
      user.exec = {
        apiVersion = "client.authentication.k8s.io/v1";
        command = "kubectl-oidc_login";
        interactiveMode = "IfAvailable";
        provideClusterInfo = false;
        args = [
          "get-token"
          "--oidc-issuer-url=${login.issuer}"
          "--oidc-client-id=${login.client}"
          "--oidc-pkce-method=S256"
        ];
      };
    }
  ];
}
