"""Unit tests run without an engine, a network or the simulator."""
