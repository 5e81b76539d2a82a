"""Orders: what a host that is away would have been deployed, left where the fleet's cache is served, for it to take by itself."""
