# The login in front of services that have none: OIDC at Keycloak, one session for all of them.
{
  config,
  aether,
  ...
}:
let
  domains = [
    ".${aether.site.domain}"
    ".${aether.site.public_domain}"
  ];
in
{
  aether.secrets.oidc-client-secret.restartUnits = [ "oauth2-proxy.service" ];
  aether.secrets.oauth2-cookie-secret.restartUnits = [ "oauth2-proxy.service" ];

  services.oauth2-proxy = {
    enable = true;
    provider = "keycloak-oidc";
    clientID = "gateway";
    clientSecretFile = config.sops.secrets.oidc-client-secret.path;
    oidcIssuerUrl = config.aether.web.issuer;
    scope = "openid profile email";
    httpAddress = "127.0.0.1:4180";
    # Only people that the realm lets have this role; whoever they are, their address may be any.
    email.domains = [ "*" ];
    reverseProxy = true;
    trustedProxyIP = [ "127.0.0.1" ];
    setXauthrequest = true;
    cookie = {
      secretFile = config.sops.secrets.oauth2-cookie-secret.path;
      refresh = "15m";
      expire = "168h";
    };
    extraConfig = {
      whitelist-domain = domains;
      # The first that the name ends with is taken.
      cookie-domain = domains;
      allowed-role = "gateway:user";
      code-challenge-method = "S256";
      skip-provider-button = true;
    };
  };
  # It reads Keycloak's discovery document through this host's own Caddy, which starts at the same time: it keeps trying.
  aether.waitsFor."oauth2-proxy.service" = [ "keycloak" ];
  systemd.services.oauth2-proxy = {
    startLimitIntervalSec = 0;
    serviceConfig.RestartSec = "5s";
  };
}
