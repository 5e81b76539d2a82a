"""A host's health: its checks as scripts read them, how they are asked on the host, and a proof as a resource."""
