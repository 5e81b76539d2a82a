"""The Atomic image's files on a system that ostree deploys."""
