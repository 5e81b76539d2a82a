"""What a simulated host is made of: its root, namespaces, SSH server, boot loader and service manager."""
