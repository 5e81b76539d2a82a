#!/usr/bin/env bash
# Looks up an image of others: components/registry/digest.py, by the environment's interpreter.
exec .venv/bin/python -m components.registry.digest
