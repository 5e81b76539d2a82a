# A Keycloak client for each client that a host offers.
{ config, lib }:
let
  declared = config.aether.keycloak.clients;
  # Mappers write a claim into all three places that programs look in.
  claim = name: type: {
    "claim.name" = name;
    "jsonType.label" = type;
    "id.token.claim" = "true";
    "access.token.claim" = "true";
    "userinfo.token.claim" = "true";
    "introspection.token.claim" = "true";
  };

  mappers = id: [
    {
      # oauth2-proxy and OpenBao refuse a token that is not meant for them.
      name = "audience";
      protocol = "openid-connect";
      protocolMapper = "oidc-audience-mapper";
      config = {
        "included.client.audience" = id;
        "id.token.claim" = "false";
        "access.token.claim" = "true";
        "introspection.token.claim" = "true";
      };
    }
    {
      name = "client roles";
      protocol = "openid-connect";
      protocolMapper = "oidc-usermodel-client-role-mapper";
      config = claim "resource_access.\${client_id}.roles" "String" // {
        "usermodel.clientRoleMapping.clientId" = id;
        multivalued = "true";
      };
    }
  ];

  toClient =
    id: client:
    {
      clientId = id;
      name = id;
      enabled = true;
      protocol = "openid-connect";
      clientAuthenticatorType = "client-secret";
      publicClient = client.public;
      standardFlowEnabled = true;
      implicitFlowEnabled = false;
      directAccessGrantsEnabled = false;
      serviceAccountsEnabled = false;
      frontchannelLogout = false;
      fullScopeAllowed = false;
      redirectUris = client.redirects;
      webOrigins = [ "+" ];
      attributes = {
        # "+" means the redirect URIs; more than one are separated by "##".
        "post.logout.redirect.uris" =
          if client.logouts == [ ] then "+" else lib.concatStringsSep "##" client.logouts;
        "oauth2.device.authorization.grant.enabled" = "false";
      }
      # Without a secret, PKCE is what ties the code to who asked for it.
      // lib.optionalAttrs client.public { "pkce.code.challenge.method" = "S256"; };
      defaultClientScopes = [
        "basic"
        "web-origins"
        "acr"
        "profile"
        "email"
        "roles"
        "groups"
      ];
      optionalClientScopes = [ "offline_access" ];
      protocolMappers = mappers id;
    }
    // lib.optionalAttrs (!client.public) { secret = config.sops.placeholder."oidc-${id}"; };
in
{
  clients = lib.mapAttrsToList toClient declared;

  roles = lib.mapAttrs (
    id: client:
    map (name: {
      inherit name;
      description = "${name} of ${id}";
      clientRole = true;
    }) client.roles
  ) (lib.filterAttrs (_: client: client.roles != [ ]) declared);

  clientScopes = [
    {
      name = "groups";
      description = "Names of the groups a person is in";
      protocol = "openid-connect";
      attributes = {
        "include.in.token.scope" = "true";
        "display.on.consent.screen" = "false";
      };
      protocolMappers = [
        {
          name = "groups";
          protocol = "openid-connect";
          protocolMapper = "oidc-group-membership-mapper";
          config = claim "groups" "String" // {
            "full.path" = "false";
          };
        }
      ];
    }
  ];
}
