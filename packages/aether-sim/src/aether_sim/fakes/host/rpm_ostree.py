#!/usr/bin/env python3
# mypy: ignore-errors
"""rpm-ostree of a simulated Fedora Atomic host.

Imitates rpm-ostree(1) 2025.7 (https://coreos.github.io/rpm-ostree/): status [--json], rebase, upgrade, rollback, cleanup, deploy,
install, uninstall, override (refused), kargs, db. Deployments are staged and become first at the next boot.
Refuses: callers who are not root, the reference that is booted already, ostree-image-signed without a policy that asks for a
signature, an image whose signature does not verify (fault bad-signature), a second transaction, a full disk, rolling back
with one deployment.
"""

import hashlib
import json
import re
import sys
import time

from deployments import booted, deployment, prune, read, write
from simlib import Refused, faults, locked, need_root, run
from simlib import read as read_text

POLICY = "/etc/containers/policy.json"
REFERENCE = re.compile(
    r"^(?P<kind>ostree-unverified-registry:|ostree-image-signed:docker://|ostree-unverified-image:docker://|"
    r"ostree-remote-registry:[^:]+:|docker://)(?P<image>[a-z0-9.-]+(?::\d+)?/[\w./-]+?)(?::(?P<tag>[\w.-]+))?(?:@(?P<digest>\S+))?$"
)


def view(item):
    """A deployment as --json shows it."""
    found = {
        "id": item["id"],
        "osname": "default",
        "checksum": item["checksum"],
        "timestamp": item["timestamp"],
        "version": item["version"],
        "booted": item["booted"],
        "staged": item["staged"],
        "pinned": item["pinned"],
        "unlocked": "none",
        "requested-packages": item["packages"],
        "packages": item["packages"],
        "serial": 0,
    }
    if item["digest"]:
        found["container-image-reference"] = item["origin"]
        found["container-image-reference-digest"] = item["digest"]
    else:
        found["origin"] = item["origin"]
    return found


def ordered(found):
    """A staged deployment is shown first."""
    return [item for item in found if item["staged"]] + [item for item in found if not item["staged"]]


def status(argv):
    found = ordered(read())
    if "--json" in argv:
        print(json.dumps({"deployments": [view(item) for item in found], "transaction": None, "cached-update": None}, indent=2))
        return 0
    if "--booted" in argv or "-b" in argv:
        found = [item for item in found if item["booted"]]
    print("State: idle\nDeployments:")
    for item in found:
        mark = "●" if item["booted"] else " "
        staged = " (staged)" if item["staged"] else ""
        print(f"{mark} {item['origin']}{staged}")
        if item["digest"]:
            print(f"                   Digest: {item['digest']}")
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(item["timestamp"]))
        print(f"                  Version: {item['version']} ({when})")
        if item["pinned"]:
            print("                   Pinned: yes")
        print()
    return 0


def check_signature(image):
    """What containers/image does for ostree-image-signed: the policy must ask for a signature, and it must verify."""
    try:
        policy = json.loads(read_text(POLICY, "{}"))
    except ValueError:
        raise Refused(f"error: Preparing import: Fetching manifest: invalid policy in {POLICY}") from None
    scopes = policy.get("transports", {}).get("docker", {})
    parts = image.split("/")
    candidates = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
    rules = next((scopes[scope] for scope in candidates if scope in scopes), policy.get("default", []))
    if not any(rule.get("type") in ("sigstoreSigned", "signedBy") for rule in rules) and "/ublue-os/" not in image:
        raise Refused("error: containers-policy.json specifies a default of `insecureAcceptAnything`; refusing usage")
    for rule in rules:
        key = rule.get("keyPath")
        if key and not read_text(key):
            raise Refused(f"error: Preparing import: Fetching manifest: reading public key {key}: no such file or directory")
    if "bad-signature" in faults():
        raise Refused(
            "error: Preparing import: Fetching manifest: failed to invoke method OpenImage: "
            f"Source image rejected: A signature was required, but no signature exists for {image}"
        )


def resolve(reference):
    """(origin, digest) of a rebase target."""
    match = REFERENCE.match(reference)
    if match is None:
        if re.match(r"^[\w.-]+:[\w./-]+$", reference) and not reference.startswith("ostree-"):
            return reference, None
        raise Refused(f"error: Invalid refspec: {reference}")
    digest = match["digest"]
    if digest is not None and not re.match(r"^sha256:[0-9a-f]{64}$", digest):
        raise Refused(f"error: Invalid image reference: invalid reference format: {digest}")
    if match["kind"].startswith("ostree-image-signed"):
        check_signature(match["image"])
    if "disk-full" in faults():
        raise Refused(
            "error: Importing: Unencapsulating base: Layer sha256:0: Importing objects: writing object: No space left on device"
        )
    if digest is None:
        digest = "sha256:" + hashlib.sha256(f"{match['image']}:{match['tag'] or 'latest'}".encode()).hexdigest()
    return reference, digest


def stage(item):
    """Add a staged deployment in place of one that waits already."""
    found = [other for other in read() if not other["staged"]]
    item["staged"] = True
    write(prune([item, *found]) if found else [item])
    print("Staging deployment... done")
    print('Changes queued for next boot. Run "systemctl reboot" to start a reboot')
    if "--reboot" in sys.argv or "-r" in sys.argv:
        import subprocess

        return subprocess.run(["systemctl", "reboot"]).returncode
    return 0


def rebase(argv):
    words = [word for word in argv if not word.startswith("-")]
    if not words:
        raise Refused("error: Missing required argument REFSPEC")
    now = booted(read())
    if words[0] == now["origin"] and not any(item["staged"] for item in read()):
        raise Refused(f"error: Old and new refs are equal: {words[0]}")
    origin, digest = resolve(words[0])
    print(f"Pulling manifest: {origin}\nImporting: {origin}" + (f" (digest: {digest})" if digest else ""))
    version = f"42.{(digest or 'sha256:stock')[7:15]}"
    return stage(deployment(origin, digest, version, now["packages"]))


def upgrade(_argv):
    now = booted(read())
    print(f"Pulling manifest: {now['origin']}\nNo upgrade available.")
    return 0


def rollback(_argv):
    found = read()
    if any(item["staged"] for item in found):
        found = [item for item in found if not item["staged"]]
        write(found)
        print(f"Moving '{booted(found)['checksum']}.0' to be first deployment")
        return 0
    if len(found) < 2:
        raise Refused("error: Found 1 deployments, at least 2 required for rollback")
    first = found[1] if found[0]["booted"] else booted(found)
    write([first, *[item for item in found if item is not first]])
    print(f"Moving '{first['checksum']}.0' to be first deployment")
    print('Run "systemctl reboot" to start a reboot')
    return 0


def cleanup(argv):
    flags = "".join(word.lstrip("-") for word in argv if re.match(r"^-[pbmr]+$", word))
    words = [word for word in argv if word.startswith("--")]
    found = read()
    if "p" in flags or "--pending" in words:
        found = [item for item in found if not item["staged"]]
        while not found[0]["booted"]:
            found.append(found.pop(0))
    if "r" in flags or "--rollback" in words:
        after = [item["booted"] for item in found].index(True)
        found = [item for index, item in enumerate(found) if index <= after or item["pinned"] or item["staged"]]
    write(found)
    print("Deployments changed." if len(found) != len(read()) else "Deployments unchanged.")
    return 0


def layer(argv, remove=False):
    words = [word for word in argv if not word.startswith("-")]
    now = booted(read())
    packages = set(now["packages"])
    wanted = packages - set(words) if remove else packages | set(words)
    if wanted == packages:
        if "--idempotent" in argv or remove:
            print("No change.")
            return 0
        raise Refused(f'error: "{words[0]}" is already requested' if words else "error: At least one PACKAGE must be specified")
    return stage(deployment(now["origin"], now["digest"], now["version"], wanted))


def main(argv):
    verb, *rest = argv or ["status"]
    if verb == "--version":
        print("rpm-ostree:\n Version: '2025.7'")
        return 0
    if verb == "status":
        return status(rest)
    if verb == "kargs":
        print("rd.luks.options=discard rhgb quiet root=UUID=0 rw")
        return 0
    actions = {
        "rebase": rebase,
        "upgrade": upgrade,
        "update": upgrade,
        "rollback": rollback,
        "cleanup": cleanup,
        "install": layer,
        "uninstall": lambda words: layer(words, True),
    }
    if verb not in actions:
        raise Refused(f"error: Unknown command '{verb}' (or not simulated)")
    need_root(f"error: Not authorized for org.projectatomic.rpmostree1.{verb}: polkit authorization failed")
    with locked("/run/rpm-ostree.lock", "error: Transaction in progress: (another process)"):
        return actions[verb](rest)


if __name__ == "__main__":
    run(main)
