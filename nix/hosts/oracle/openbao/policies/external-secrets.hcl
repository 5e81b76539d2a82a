# The cluster's External Secrets Operator: the cluster's part of the tree, and accounts at its databases.
path "kv/data/kubernetes/*" {
  capabilities = ["read"]
}
path "kv/metadata/kubernetes/*" {
  capabilities = ["read", "list"]
}
path "database/creds/*" {
  capabilities = ["read"]
}
