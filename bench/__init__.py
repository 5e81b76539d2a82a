"""Benchmarks. See README.md."""
