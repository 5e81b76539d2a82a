#!/usr/bin/env python3
# mypy: ignore-errors
"""nix of a simulated host.

Imitates nix(1) of Nix 2.28 as far as hosts are asked: --version, store info|ping|gc|verify (of signatures), path-info (--json),
profile list.
It builds Home Manager's generations alone (nix_home.py); systems are the operator's fake's (operator/nix).
"""

import json
import os
import subprocess
import sys

import nix_home
from nix_store import signatures, trusted
from simlib import Refused, run


def main(argv):
    words = [word for word in argv if not word.startswith("--")]
    words = [word for word in words if word not in ("nix-command flakes", "nix-command", "flakes")]
    if "--version" in argv:
        print("nix (Nix) 2.28.5")
        return 0
    if words[:2] in (["store", "info"], ["store", "ping"]):
        print("Store URL: daemon\nVersion: 2.28.5\nTrusted: 1")
        return 0
    if words[:2] == ["store", "gc"]:
        return subprocess.run(["nix-store", "--gc"]).returncode
    if words[:1] == ["path-info"]:
        for path in words[1:]:
            if not os.path.exists(path):
                raise Refused(f"error: path '{path}' is not valid")
        found = {os.path.realpath(path): {"ca": None, "signatures": signatures(os.path.basename(path))} for path in words[1:]}
        print(json.dumps(found) if "--json" in argv else "\n".join(found))
        return 0
    if argv[-1:] and "verify" in words and "--sigs-needed" in argv:
        keys = argv[argv.index("trusted-public-keys") + 1].split() if "trusted-public-keys" in argv else trusted()
        if not set(keys) & set(signatures(os.path.basename(argv[-1]))):
            raise Refused(f"error: path '{argv[-1]}' is untrusted", 2)
        return 0
    if words[:2] == ["profile", "list"]:
        return 0
    if words[:1] == ["build"] and ".activationPackage" in words[-1]:
        print(nix_home.output_path(words[-1]))
        return 0
    if words[:1] == ["run"] and "--" in argv and argv[argv.index("--") - 1] == "home-manager":
        return nix_home.switch(argv[argv.index("--") + 1 :])
    sys.stderr.write(f"error: nix {' '.join(words[:2])}: not simulated on a host\n")
    return 1


if __name__ == "__main__":
    run(main)
