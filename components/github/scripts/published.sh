#!/usr/bin/env bash
# Waits for the image repository's workflow: components/github/published.py, by the environment's interpreter.
exec .venv/bin/python -m components.github.published
