# Realm homelab, as keycloak-config-cli imports it (Keycloak's RealmRepresentation).
{
  config,
  lib,
  aether,
}:
let
  clients = import ./clients.nix { inherit config lib; };
  groups = import ./groups.nix { inherit config lib aether; };
  flows = import ./flows.nix;
  operator = config.aether.users.operator;
in
{
  realm = "homelab";
  displayName = "Aether";
  enabled = true;

  # Nobody signs up; addresses are given by an administrator, so there is nothing to verify by mail.
  registrationAllowed = false;
  registrationEmailAsUsername = false;
  resetPasswordAllowed = false;
  rememberMe = true;
  verifyEmail = false;
  loginWithEmailAllowed = true;
  duplicateEmailsAllowed = false;
  editUsernameAllowed = false;
  sslRequired = "all";
  internationalizationEnabled = false;

  passwordPolicy = "length(14) and maxLength(128) and notUsername(undefined) and notEmail(undefined) and passwordHistory(5)";
  bruteForceProtected = true;
  permanentLockout = false;
  failureFactor = 5;
  waitIncrementSeconds = 60;
  maxFailureWaitSeconds = 900;
  minimumQuickLoginWaitSeconds = 60;
  quickLoginCheckMilliSeconds = 1000;
  maxDeltaTimeSeconds = 43200;

  # Seconds.
  accessTokenLifespan = 300;
  ssoSessionIdleTimeout = 4 * 3600;
  ssoSessionMaxLifespan = 16 * 3600;
  ssoSessionIdleTimeoutRememberMe = 7 * 86400;
  ssoSessionMaxLifespanRememberMe = 30 * 86400;
  offlineSessionIdleTimeout = 30 * 86400;
  accessCodeLifespan = 60;
  accessCodeLifespanUserAction = 300;
  accessCodeLifespanLogin = 900;
  revokeRefreshToken = true;
  refreshTokenMaxReuse = 0;
  defaultSignatureAlgorithm = "RS256";

  eventsEnabled = true;
  eventsExpiration = 30 * 86400;
  eventsListeners = [ "jboss-logging" ];
  adminEventsEnabled = true;
  adminEventsDetailsEnabled = true;

  browserSecurityHeaders = {
    contentSecurityPolicy = "frame-src 'self'; frame-ancestors 'self'; object-src 'none';";
    referrerPolicy = "no-referrer";
    strictTransportSecurity = "max-age=31536000; includeSubDomains";
    xContentTypeOptions = "nosniff";
    xFrameOptions = "SAMEORIGIN";
    xRobotsTag = "none";
  };

  inherit (flows)
    authenticationFlows
    browserFlow
    requiredActions
    otpPolicyType
    otpPolicyAlgorithm
    otpPolicyDigits
    otpPolicyPeriod
    otpPolicyInitialCounter
    otpPolicyLookAheadWindow
    otpPolicyCodeReusable
    ;
  inherit (clients) clients clientScopes;
  roles.client = clients.roles;
  inherit (groups) groups;

  users = [
    {
      username = operator;
      email = "${operator}@${aether.site.public_domain}";
      emailVerified = true;
      enabled = true;
      firstName = operator;
      lastName = aether.site.name;
      groups = [ "/admins" ];
      credentials = [
        {
          type = "password";
          # keycloak-config-cli leaves a password with this label alone once the user exists.
          userLabel = "initial";
          value = config.sops.placeholder.operator-initial-password;
          temporary = true;
        }
      ];
    }
  ];
}
