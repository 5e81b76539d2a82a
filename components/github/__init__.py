"""GitHub: the repository that builds the Fedora Atomic images."""
