# The cluster's External Secrets Operator and cert-manager: their part of the tree, nothing else.
path "kv/data/kubernetes/*" {
  capabilities = ["read"]
}
path "kv/metadata/kubernetes/*" {
  capabilities = ["read", "list"]
}
path "pki/sign/kubernetes" {
  capabilities = ["create", "update"]
}
path "pki/issue/kubernetes" {
  capabilities = ["create", "update"]
}
path "database/creds/*" {
  capabilities = ["read"]
}
