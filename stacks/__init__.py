"""Compositions of components, picked by the stack's configuration."""
