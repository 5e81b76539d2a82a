"""Hetzner Cloud: the endpoints that its provider calls, and machines that answer as their servers do."""
