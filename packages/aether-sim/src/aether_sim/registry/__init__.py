"""The container registry: crane's, on loopback, with small real images signed by the real cosign."""
