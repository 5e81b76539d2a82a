{ inventory, name, ... }:
let
  service = inventory.services.bao;
in
{
  clients.openbao.redirects =
    map (name: "https://${name}/ui/vault/auth/oidc/oidc/callback") service.names
    ++ [
      "https://${inventory.fqdn name}:${toString service.port}/ui/vault/auth/oidc/oidc/callback"
      # `bao login -method=oidc` listens here.
      "http://localhost:8250/oidc/callback"
    ];
}
