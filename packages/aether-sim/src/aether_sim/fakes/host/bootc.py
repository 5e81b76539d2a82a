#!/usr/bin/env python3
# mypy: ignore-errors
"""bootc of a simulated Fedora Atomic host: `bootc status [--json]` alone (bootc(8) 1.8); changing verbs are refused."""

import json

from deployments import booted, read
from simlib import Refused, need_root, run


def entry(item):
    """A deployment as bootc shows it."""
    if item is None or not item["digest"]:
        return None
    transport, _, image = (
        item["origin"].rpartition("docker://") if "docker://" in item["origin"] else item["origin"].partition(":")
    )
    signature = "containerPolicy" if transport.startswith("ostree-image-signed") else None
    return {"image": {"image": {"image": image, "transport": "registry", "signature": signature}, "imageDigest": item["digest"]}}


def main(argv):
    need_root("error: This command must be executed as the root user")
    if argv[:1] != ["status"]:
        raise Refused(f"error: bootc {' '.join(argv[:1])}: not simulated")
    found = read()
    now = booted(found)
    staged = next((item for item in found if item["staged"]), None)
    rollback = next((item for item in found if not item["booted"] and not item["staged"]), None)
    body = {"apiVersion": "org.containers.bootc/v1", "kind": "BootcHost", "status": {
        "booted": entry(now), "staged": entry(staged), "rollback": entry(rollback), "type": "bootcHost"}}  # fmt: skip
    print(json.dumps(body) if "--json" in argv or "--format=json" in argv else f"Booted image: {now['origin']}")
    return 0


if __name__ == "__main__":
    run(main)
