# The unit that saves raft snapshots.
path "sys/storage/raft/snapshot" {
  capabilities = ["read"]
}
