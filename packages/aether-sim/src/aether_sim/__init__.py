"""The simulated datacentre: Proxmox VE, SSH hosts and faults on loopback addresses (Linux only)."""
