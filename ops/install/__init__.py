"""NixOS on a machine that runs something else: checks, backup, agreement, nixos-anywhere, first contact."""
