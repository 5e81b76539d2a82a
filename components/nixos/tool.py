"""Nix's own command line."""


def nix_command(nix: str) -> list[str]:
    """How the executable NIX is called: with flakes, whatever the operator's nix.conf says."""
    return [nix, "--extra-experimental-features", "nix-command flakes"]
