#!/usr/bin/env python3
# mypy: ignore-errors
"""ostree of a simulated Fedora Atomic host.

Imitates `ostree admin status|pin|undeploy|finalize-staged` of ostree 2025.2 (ostree-admin-pin(1)): pin takes an index, or booted,
pending, rollback; -u unpins. Refuses a staged deployment, an index that does not exist, undeploying the booted one.
"""

from deployments import read, write
from simlib import Refused, need_root, run


def select(found, word):
    """The deployment that a word of `pin` means."""
    named = {"booted": lambda item: item["booted"], "pending": lambda item: item["staged"]}
    if word in named:
        chosen = [item for item in found if named[word](item)]
    elif word == "rollback":
        after = [item["booted"] for item in found].index(True)
        chosen = found[after + 1 : after + 2]
    elif word.isdigit():
        chosen = found[int(word) : int(word) + 1]
        if not chosen:
            raise Refused(f"error: Out of range deployment index {word}, expected < {len(found)}")
    else:
        raise Refused(f"error: Invalid index: {word}")
    if not chosen:
        raise Refused(f"error: No {word} deployment")
    return chosen[0]


def pin(found, words):
    unpin = any(word in ("-u", "--unpin") for word in words)
    indexes = [word for word in words if not word.startswith("-")]
    if not indexes:
        raise Refused("error: At least one deployment index must be specified")
    for word in indexes:
        item = select(found, word)
        if item["staged"]:
            raise Refused("error: Cannot pin staged deployment")
        if item["pinned"] is not unpin:
            raise Refused(f"error: Deployment {word} is already {'unpinned' if unpin else 'pinned'}") if unpin else Refused("", 0)
        item["pinned"] = not unpin
        print(f"Deployment {word} is now {'unpinned' if unpin else 'pinned'}")
    write(found)
    return 0


def main(argv):
    if argv[:1] == ["--version"]:
        print("libostree:\n Version: '2025.2'")
        return 0
    if argv[:1] != ["admin"] or len(argv) < 2:
        raise Refused("error: only `ostree admin` is simulated")
    verb, words = argv[1], argv[2:]
    found = read()
    if verb == "status":
        for item in found:
            mark = "*" if item["booted"] else " "
            print(f"{mark} default {item['checksum']}.0{' (staged)' * item['staged']}\n    origin refspec: {item['origin']}")
            if item["pinned"]:
                print("    Pinned: yes")
        return 0
    need_root("error: You must be root to perform this command")
    if verb == "pin":
        return pin(found, words)
    if verb == "undeploy" and words:
        item = select(found, words[0])
        if item["booted"]:
            raise Refused("error: Cannot undeploy currently booted deployment " + words[0])
        write([other for other in found if other is not item])
        print(f"Deleted deployment {item['checksum']}.0")
        return 0
    raise Refused(f"error: ostree admin {verb}: not simulated")


if __name__ == "__main__":
    run(main)
