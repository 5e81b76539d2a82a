# The API server believes what Keycloak says of people, and has the name by which they and OpenBao ask it.
{ cluster, read }:
let
  inherit (cluster) login;
in
[
  {
    apiVersion = "v1alpha1";
    kind = "KubeAuthenticationConfig";
    # Kubernetes' own configuration, as the file behind --authentication-config; Talos has the first part by itself.
    configuration = {
      apiVersion = "apiserver.config.k8s.io/v1";
      kind = "AuthenticationConfiguration";
      anonymous = {
        enabled = true;
        conditions = map (path: { inherit path; }) [
          "/livez"
          "/readyz"
          "/healthz"
        ];
      };
      jwt = [
        {
          issuer = {
            url = login.issuer;
            discoveryURL = login.discovery;
            certificateAuthority = read "root_ca.crt";
            audiences = [ login.client ];
          };
          claimMappings = {
            username = {
              claim = "preferred_username";
              inherit (login) prefix;
            };
            groups = {
              claim = "groups";
              inherit (login) prefix;
            };
          };
          claimValidationRules = [
            {
              # Keycloak has tokens of several kinds: this one says who somebody is.
              claim = "typ";
              requiredValue = "ID";
            }
          ];
        }
      ];
    };
  }
  {
    apiVersion = "v1alpha1";
    kind = "KubeAPIServerConfig";
    certExtraSANs = [ cluster.api.name ];
  }
]
