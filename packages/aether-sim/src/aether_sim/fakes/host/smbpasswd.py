#!/usr/bin/env python3
# mypy: ignore-errors
"""smbpasswd of a simulated host: `-s -a USER` reads the password twice; users are kept, passwords only as a hash.

Imitates smbpasswd(8) of Samba 4.20, and refuses what it refuses: an account that passwd does not have, lines that differ.
"""

import hashlib
import pwd
import sys

from simlib import Refused, load, need_root, run, save


def main(argv):
    need_root("smbpasswd: must be run as root")
    user = argv[-1] if argv and not argv[-1].startswith("-") else "root"
    try:
        pwd.getpwnam(user)
    except KeyError:
        raise Refused(f"Failed to add entry for user {user}.") from None
    users = load("samba", {})
    flags = "".join(word.lstrip("-") for word in argv if word.startswith("-"))
    if "x" in flags:
        users.pop(user, None)
    else:
        lines = sys.stdin.read().splitlines()
        if len(lines) < 2 or lines[0] != lines[1]:
            raise Refused("Mismatch - password unchanged.\nUnable to get new password.")
        print(f"Added user {user}." if user not in users else f"Password changed for user {user}.")
        users[user] = hashlib.sha256(lines[0].encode()).hexdigest()
    save("samba", users)
    return 0


if __name__ == "__main__":
    run(main)
