"""The Proxmox VE API of the simulated datacentre: fakepve, with its gaps filled."""
