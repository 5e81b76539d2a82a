# mypy: ignore-errors
"""rpm-ostree, `ostree admin`, greenboot and the boot of a simulated Fedora Atomic host: programs over one list of deployments.

Imitates rpm-ostree(1) 2025.7 (status, rebase, upgrade, rollback, cleanup -p, install, uninstall), ostree-admin-pin(1) and status
of ostree 2025.2, ostree-finalize-staged.service and ostree-prepare-root, greenboot 0.15 (https://github.com/fedora-iot/greenboot:
check/required.d must end with 0, check/wanted.d may fail, then red.d or green.d is run; GREENBOOT_MAX_BOOT_ATTEMPTS), and
`boot-counting status` of an own image. Deployments are staged and become first at the next boot; the booted one, one to roll back
to and those that are pinned are kept. The supervisor does what greenboot's reboot and rollback units do on red.
Refuses: callers who are not root, the reference that is booted already, ostree-image-signed without a policy that asks for a
signature, an image whose signature does not verify (fault bad-signature), a second transaction, a full disk, rolling back with
one deployment, pinning what is staged or not there. Faults no-boot, greenboot-red and no-boot-counting hold, too.
"""

import hashlib
import json
import os
import re
import subprocess

from simlib import Refused, faults, load, locked, need_root, options, read, save, write

BOOTED = "/run/aether-sim-deployment"
KEY, POLICY = "/etc/pki/containers/aether.pub", "/etc/containers/policy.json"
NO_KEY = "-----BEGIN PUBLIC KEY-----\nsimulated\n-----END PUBLIC KEY-----\n"
REFERENCE = re.compile(
    r"^(?P<kind>ostree-unverified-registry:|ostree-image-signed:docker://)(?P<image>[a-z0-9.-]+(?::\d+)?/[\w./-]+?)"
    r"(?::(?P<tag>[\w.-]+))?(?:@(?P<digest>\S+))?$"
)


def deployment(origin, digest, packages=()):
    """A new one; a stock system has no digest."""
    checksum = hashlib.sha256(f"{origin} {digest} {sorted(packages)}".encode()).hexdigest()
    flags = {"staged": False, "booted": False, "pinned": False, "unlocked": "none"}
    found = {"id": f"default-{checksum}.0", "checksum": checksum, "origin": origin, "digest": digest, **flags}
    return {**found, "requested-packages": sorted(packages), "packages": sorted(packages)}


def known():
    """The deployments, first the one that boots next; a fresh host has the stock system."""
    return load("ostree", None) or [{**deployment("fedora:fedora/42/x86_64/kinoite", None), "booted": True}]


def keep(found):
    save("ostree", found)


def booted(found):
    return next(item for item in found if item["booted"])


def prune(found):
    """The staged, the first, the booted, one to roll back to, and those that are pinned."""
    kept = [index == 0 or item["staged"] or item["booted"] or item["pinned"] for index, item in enumerate(found)]
    spare = next((index for index, stays in enumerate(kept) if not stays), None)
    return [item for index, item in enumerate(found) if kept[index] or index == spare]


def status(argv):
    found = sorted(known(), key=lambda item: not item["staged"])
    if "--json" in argv:
        own = {"digest": "container-image-reference-digest", "origin": "container-image-reference"}
        shown = [{own.get(key, key) if item["digest"] else key: value for key, value in item.items()} for item in found]
        print(json.dumps({"deployments": shown, "transaction": None}, indent=2))
        return 0
    print("State: idle\nDeployments:")
    for item in found:
        print(f"{'●' if item['booted'] else ' '} {item['origin']}{' (staged)' * item['staged']}")
        print(f"                   Digest: {item['digest']}\n{'                   Pinned: yes' if item['pinned'] else ''}")
    return 0


def check_signature(image):
    """What containers/image does for ostree-image-signed: the policy must ask for a signature, and it must verify."""
    policy = json.loads(read(POLICY, "{}"))
    scopes, parts = policy.get("transports", {}).get("docker", {}), image.split("/")
    candidates = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
    rules = next((scopes[scope] for scope in candidates if scope in scopes), policy.get("default", []))
    if not any(rule.get("type") == "sigstoreSigned" for rule in rules) and "/ublue-os/" not in image:
        raise Refused("error: containers-policy.json specifies a default of `insecureAcceptAnything`; refusing usage")
    for rule in rules:
        if rule.get("keyPath") and not read(rule["keyPath"]):
            raise Refused(f"error: Preparing import: reading public key {rule['keyPath']}: no such file or directory")
    if "bad-signature" in faults():
        raise Refused(
            "error: Preparing import: Fetching manifest: failed to invoke method OpenImage: "
            f"Source image rejected: A signature was required, but no signature exists for {image}"
        )


def stage(item):
    """Add a staged deployment in place of one that waits already."""
    keep(prune([{**item, "staged": True}, *(other for other in known() if not other["staged"])]))
    print('Staging deployment... done\nChanges queued for next boot. Run "systemctl reboot" to start a reboot')
    return 0


def rebase(_found, words):
    if not words:
        raise Refused("error: Missing required argument REFSPEC")
    target, now = words[0], booted(known())
    if target == now["origin"] and not any(item["staged"] for item in known()):
        raise Refused(f"error: Old and new refs are equal: {target}")
    match = REFERENCE.match(target)
    if match is None:
        raise Refused(f"error: Invalid refspec: {target}")
    digest = match["digest"]
    if digest and not re.match(r"^sha256:[0-9a-f]{64}$", digest):
        raise Refused(f"error: Invalid image reference: invalid reference format: {digest}")
    if match["kind"].startswith("ostree-image-signed"):
        check_signature(match["image"])
    if "disk-full" in faults():
        raise Refused("error: Importing: Unencapsulating base: Layer sha256:0: writing object: No space left on device")
    digest = digest or "sha256:" + hashlib.sha256(f"{match['image']}:{match['tag'] or 'latest'}".encode()).hexdigest()
    print(f"Pulling manifest: {target}\nImporting: {target} (digest: {digest})")
    return stage(deployment(target, digest, now["packages"]))


def upgrade(_found, _words):
    print("No upgrade available.")
    return 0


def rollback(_found, _words):
    found = [item for item in known() if not item["staged"]]
    if len(found) == len(known()):
        if len(found) < 2:
            raise Refused("error: Found 1 deployments, at least 2 required for rollback")
        first = found[1] if found[0]["booted"] else booted(found)
        found = [first, *(item for item in found if item is not first)]
    keep(found)
    print(f"Moving '{found[0]['checksum']}.0' to be first deployment")
    return 0


def cleanup(options_given, _words):
    if "-p" in options_given:
        keep([item for item in known() if not item["staged"]])
    return 0


def layer(options_given, words, remove=False):
    now = booted(known())
    wanted = set(now["packages"]) - set(words) if remove else set(now["packages"]) | set(words)
    if sorted(wanted) != now["packages"]:
        return stage(deployment(now["origin"], now["digest"], wanted))
    if "--idempotent" not in options_given:
        raise Refused(f'error: "{words[0]}" is already requested')
    print("No change.")
    return 0


ACTIONS = {
    "rebase": rebase,
    "upgrade": upgrade,
    "rollback": rollback,
    "cleanup": cleanup,
    "install": layer,
    "uninstall": lambda given, words: layer(given, words, True),
}


def rpm_ostree(argv):
    found, (verb, *words) = options(argv)[0], options(argv)[1] or ["status"]
    if verb == "status":
        return status(argv)
    if verb not in ACTIONS:
        raise Refused(f"error: Unknown command '{verb}' (or not simulated)")
    need_root(f"error: Not authorized for org.projectatomic.rpmostree1.{verb}: polkit authorization failed")
    with locked("/run/rpm-ostree.lock", "error: Transaction in progress: (another process)"):
        return ACTIONS[verb](found, words)


def ostree(argv):
    found = known()
    if argv == ["admin", "status"]:
        for item in found:
            print(f"{'*' if item['booted'] else ' '} default {item['checksum']}.0{' (staged)' * item['staged']}")
            print(f"    origin refspec: {item['origin']}" + "\n    Pinned: yes" * item["pinned"])
        return 0
    need_root("error: You must be root to perform this command")
    given, words = options(argv)
    if words[:2] != ["admin", "pin"]:
        raise Refused(f"error: ostree {' '.join(argv[:2])}: not simulated")
    pinned = not {"-u", "--unpin"} & set(given)
    for word in words[2:]:
        index = found.index(booted(found)) if word == "booted" else int(word)
        if index >= len(found):
            raise Refused(f"error: Out of range deployment index {word}, expected < {len(found)}")
        if found[index]["staged"]:
            raise Refused("error: Cannot pin staged deployment")
        found[index]["pinned"] = pinned
        print(f"Deployment {word} is now {'pinned' if pinned else 'unpinned'}")
    keep(found)
    return 0


def scripts(kind):
    """Scripts of a kind, in order of their names."""
    folders = [f"{root}/{kind}" for root in ("/usr/lib/greenboot", "/etc/greenboot") if os.path.isdir(f"{root}/{kind}")]
    return [f"{folder}/{name}" for folder in folders for name in sorted(os.listdir(folder)) if name.endswith(".sh")]


def passes(path):
    """Run one check and print its outcome."""
    done = subprocess.run(["/bin/bash", path], capture_output=True, text=True)
    print(f"Script '{os.path.basename(path)}' {'FAILURE' if done.returncode else 'SUCCESS'} ({done.returncode})")
    for line in (done.stdout + done.stderr).splitlines()[-5:]:
        print(f"  {line}")
    return done.returncode == 0


def greenboot(argv):
    need_root("greenboot must be run as root")
    if argv != ["health-check"]:
        raise Refused("Usage: greenboot health-check", 2)
    red = [path for path in scripts("check/required.d") if not passes(path)]
    fault = faults().get("greenboot-red")
    if fault and read(BOOTED).strip() != fault.get("good"):
        red.append("injected fault: greenboot-red")
    for path in scripts("check/wanted.d"):
        passes(path)
    kept = load("grubenv", {}) if red else {}
    save("grubenv", {**kept, "boot_success": int(not red)})
    for path in scripts("red.d" if red else "green.d"):
        passes(path)
    print(f"greenboot: required health check failed: {', '.join(red)}" if red else "greenboot: boot status is GREEN")
    return int(bool(red))


def boot_counting(argv):
    now = booted(known())
    if now["digest"] is None or "/ublue-os/" in now["origin"]:
        raise Refused("bash: /usr/libexec/aether/boot-counting: No such file or directory", 127)
    if argv != ["status"]:
        raise Refused("boot-counting status: the rest is not simulated", 64)
    broken = "no-boot-counting" in faults()
    print(
        "not armed: /boot/grub2/grub.cfg reads no custom.cfg. Fix: grub2-mkconfig -o /boot/grub2/grub.cfg" if broken else "armed"
    )
    return int(broken)


def merge_etc(item):
    """What an own image brings in /etc: its public key and the policy that asks for its signature."""
    match = REFERENCE.match(item["origin"])
    if match is None or "/ublue-os/" in item["origin"]:
        return
    if not os.path.exists(KEY):
        write(KEY, read("/usr/lib/aether-sim/image-key.pub") or NO_KEY)
    rule = {"type": "sigstoreSigned", "keyPath": KEY, "signedIdentity": {"type": "matchRepository"}}
    policy = json.loads(read(POLICY, "{}"))
    scopes = policy.setdefault("transports", {}).setdefault("docker", {})
    scopes.setdefault("/".join(match["image"].split("/")[:2]), [rule])
    write(POLICY, json.dumps(policy, indent=1))


def boot(argv):
    """Finalize what is staged, boot the first deployment and print its id. --rollback: greenboot's attempts are used up."""
    found, values = known(), load("grubenv", {})
    staged = [item for item in found if item["staged"]]
    if staged:
        staged[0]["staged"] = False
        rest = [item for item in found if item is not staged[0]]
        found = [*staged, *(item for item in rest if item["booted"]), *(i for i in rest if i["pinned"] and not i["booted"])]
        attempts = re.search(r"^GREENBOOT_MAX_BOOT_ATTEMPTS=(\d+)", read("/etc/greenboot/greenboot.conf"), re.M)
        values = {"boot_counter": int(attempts[1]) if attempts else 3, "boot_success": 0}
    if "--rollback" in argv:
        other = next((item for item in found[1:] if not item["pinned"]), found[1])
        found, values = [other, *(item for item in found if item is not other)], {"boot_success": 0}
    broken = faults().get("no-boot")
    if broken and found[0]["id"] != broken.get("good"):
        # GRUB's counter runs down while the kernel panics, then it boots the deployment before.
        if "boot_counter" not in values or len(found) < 2:
            print("injected fault: no-boot")
            return 1
        found, values = [found[1], found[0], *found[2:]], {"boot_success": 0}
    if "boot_counter" in values:
        values["boot_counter"] -= 1
    for item in found:
        item["booted"] = item is found[0]
    keep(prune(found))
    save("grubenv", values)
    merge_etc(found[0])
    write("/run/ostree-booted", "")
    write(BOOTED, found[0]["id"] + "\n")
    print(found[0]["id"])
    return 0
