{ inventory, name, ... }:
let
  service = inventory.services.bao;
in
{
  clients.openbao.redirects = [
    "https://${service.fqdn}/ui/vault/auth/oidc/oidc/callback"
    "https://${inventory.fqdn name}:${toString service.port}/ui/vault/auth/oidc/oidc/callback"
    # `bao login -method=oidc` listens here.
    "http://localhost:8250/oidc/callback"
  ];
}
