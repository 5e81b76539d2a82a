# People in group family: a place of their own.
path "kv/data/people/{{identity.entity.name}}/*" {
  capabilities = ["create", "read", "update", "delete"]
}
path "kv/metadata/people/{{identity.entity.name}}/*" {
  capabilities = ["read", "list", "delete"]
}
