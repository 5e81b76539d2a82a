# The unit that makes OpenBao what the repository says: everything, from this host alone (the account is bound to
# 127.0.0.1).
path "*" {
  capabilities = ["create", "read", "update", "patch", "delete", "list", "scan", "sudo"]
}
