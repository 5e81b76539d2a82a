#!/bin/sh
# A program of a package that is there but does nothing here: it says its version and refuses everything else.
case "$1" in
  --version | -v | version | -V) echo "$(basename "$0") 1.0 (simulated)" ;;
  *)
    echo "$(basename "$0"): not simulated beyond --version" >&2
    exit 1
    ;;
esac
