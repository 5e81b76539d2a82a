"""Programs that evaluate the flake."""
