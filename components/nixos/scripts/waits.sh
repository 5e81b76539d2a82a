#!/usr/bin/env bash
# Runs on the host, behind status.sh: units that wait for what other hosts serve, a line each (nix/modules/waits.nix).
cat /etc/aether/waits-for 2>/dev/null || true
