"""The public side on AWS: network, machines, the gateway."""
