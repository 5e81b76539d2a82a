#!/usr/bin/env python3
# mypy: ignore-errors
"""nvidia-ctk of a simulated host: `cdi generate --output=FILE`, `cdi list`, `runtime configure` (Toolkit 1.17)."""

import os

from simlib import Refused, need_root, run, write


def main(argv):
    if "--version" in argv:
        print("NVIDIA Container Toolkit CLI version 1.17.8")
        return 0
    if argv[:2] == ["cdi", "generate"]:
        need_root("ERRO[0000] failed to save CDI spec: permission denied")
        output = next((word.partition("=")[2] for word in argv if word.startswith("--output=")), "")
        if not output:
            raise Refused("ERRO[0000] no output given")
        write(output, 'cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n  - name: "0"\n  - name: all\n')
        return 0
    if argv[:2] == ["cdi", "list"]:
        found = any(os.path.exists(f"{place}/nvidia.yaml") for place in ("/etc/cdi", "/var/run/cdi"))
        print(
            "INFO[0000] Found 2 CDI devices\nnvidia.com/gpu=0\nnvidia.com/gpu=all" if found else "INFO[0000] Found 0 CDI devices"
        )
        return 0
    if argv[:2] == ["runtime", "configure"]:
        return 0
    raise Refused(f"nvidia-ctk {' '.join(argv[:2])}: not simulated")


if __name__ == "__main__":
    run(main)
