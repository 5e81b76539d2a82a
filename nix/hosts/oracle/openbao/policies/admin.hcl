# People in group admins. Mounts, logins and policies are code: they are read here, not written.
path "kv/*" {
  capabilities = ["create", "read", "update", "patch", "delete", "list"]
}
path "pki/*" {
  capabilities = ["create", "read", "update", "delete", "list"]
}
path "database/*" {
  capabilities = ["create", "read", "update", "delete", "list"]
}
path "sys/mounts" {
  capabilities = ["read"]
}
path "sys/auth" {
  capabilities = ["read"]
}
path "sys/policies/acl/*" {
  capabilities = ["read", "list"]
}
path "sys/leases/*" {
  capabilities = ["read", "update", "list", "sudo"]
}
path "sys/health" {
  capabilities = ["read"]
}
path "identity/*" {
  capabilities = ["read", "list"]
}
