"""Machines at Hetzner Cloud."""
