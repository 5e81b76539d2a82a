# The cluster's cert-manager: certificates, nothing else.
path "pki/sign/kubernetes" {
  capabilities = ["create", "update"]
}
path "pki/issue/kubernetes" {
  capabilities = ["create", "update"]
}
