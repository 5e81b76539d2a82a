# People are in groups; groups have the roles of clients. Which role means what is the client's affair, so the rule
# goes by name: administrators have every role, family those that only use or look.
{
  config,
  lib,
  aether,
}:
let
  withRoles = lib.filterAttrs (_: client: client.roles != [ ]) config.aether.keycloak.clients;
  harmless = [
    "user"
    "viewer"
    "member"
  ];
  rolesIn =
    keep:
    lib.filterAttrs (_: roles: roles != [ ]) (
      lib.mapAttrs (_: client: lib.filter keep client.roles) withRoles
    );
in
{
  groups = [
    {
      name = "admins";
      path = "/admins";
      clientRoles = rolesIn (_: true);
    }
    {
      name = "family";
      path = "/family";
      clientRoles = rolesIn (role: lib.elem role harmless);
    }
    {
      # Who may have a certificate of host step-ca's for deployments, and nothing else by this.
      name = "deployers";
      path = "/deployers";
      clientRoles = { };
    }
  ]
  # And who may have one for a part of the fleet alone.
  ++ map (
    group:
    let
      name = aether.lib.deployUser.groupOf group;
    in
    {
      inherit name;
      path = "/${name}";
      clientRoles = { };
    }
  ) (lib.attrNames aether.inventory.deployers);
}
