#!/usr/bin/env python3
# mypy: ignore-errors
"""wg of a simulated host: genkey and pubkey are real (X25519 would need a library: the public key is a hash of the private one),
`show` lists interfaces with a configuration in /etc/wireguard. Imitates wg(8) of wireguard-tools 1.0."""

import base64
import hashlib
import os
import sys

from simlib import Refused, run


def main(argv):
    if argv[:1] == ["genkey"] or argv[:1] == ["genpsk"]:
        print(base64.b64encode(os.urandom(32)).decode())
        return 0
    if argv[:1] == ["pubkey"]:
        try:
            key = base64.b64decode(sys.stdin.read().strip(), validate=True)
        except ValueError:
            key = b""
        if len(key) != 32:
            raise Refused("wg: Key is not the correct length or format")
        print(base64.b64encode(hashlib.sha256(key).digest()).decode())
        return 0
    if not argv or argv[0] == "show":
        names = os.listdir("/etc/wireguard") if os.path.isdir("/etc/wireguard") else []
        for name in sorted(names):
            if name.endswith(".conf"):
                print(f"interface: {name.removesuffix('.conf')}")
        return 0
    raise Refused(f"Invalid subcommand: `{argv[0]}'")


if __name__ == "__main__":
    run(main)
