"""Why the operator's nix refuses something."""


class NixError(Exception):
    """What nix prints on stderr before it ends with 1."""
