#!/usr/bin/env bash
# Commits the image repository: components/github/push.py, by the environment's interpreter.
exec .venv/bin/python -m components.github.push
