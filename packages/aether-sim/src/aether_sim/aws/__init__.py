"""AWS: moto behind a door on loopback that adds credentials, faults, memory and machines that answer."""
