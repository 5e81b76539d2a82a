#!/usr/bin/env python3
# mypy: ignore-errors
"""flatpak of a simulated host.

Imitates flatpak(1) 1.16: remotes, remote-add [--if-not-exists], remote-delete, list --app --columns=…, install, uninstall,
update, info. System installation in /var/lib/aether-sim, --user in the user's home. Refuses an unknown remote, an
application that is not
named like one, system changes by another user than root, a remote that is there already.
"""

import json
import os
import re

from simlib import Refused, need_root, read, run, write

APPLICATION = re.compile(r"^[A-Za-z][\w-]*(\.[\w-]+){2,}$")
COLUMNS = {"application": "application", "name": "name", "origin": "origin", "ref": "ref", "version": "version"}


def place(user):
    """Where the installation's state is."""
    return os.path.expanduser("~/.local/share/flatpak/sim.json") if user else "/var/lib/aether-sim/flatpak.json"


def main(argv):
    user = "--user" in argv
    columns = next((word.partition("=")[2] for word in argv if word.startswith("--columns=")), "")
    words = [word for word in argv if not word.startswith("-")]
    if "--version" in argv:
        print("Flatpak 1.16.1")
        return 0
    verb, *rest = words or [""]
    state = json.loads(read(place(user), "") or '{"remotes": {}, "apps": {}}')
    if verb in ("remotes", "remote-list"):
        for name, url in sorted(state["remotes"].items()):
            values = {"name": name, "url": url, "options": "user" if user else "system"}
            print("\t".join(values.get(column, "") for column in (columns or "name,options").split(",")))
        return 0
    if verb == "list":
        for name, origin in sorted(state["apps"].items()):
            values = {
                "application": name,
                "name": name.rsplit(".", 1)[-1],
                "origin": origin,
                "version": "1.0",
                "ref": f"{name}/x86_64/stable",
            }
            print("\t".join(values.get(column, "") for column in (columns or "name,application,version").split(",")))
        return 0
    if verb == "info":
        if not rest or rest[0] not in state["apps"]:
            raise Refused(f"error: {rest[0] if rest else ''}/*unspecified*/*unspecified* not installed")
        print(f"ID: {rest[0]}\nOrigin: {state['apps'][rest[0]]}")
        return 0
    if not user:
        need_root("error: Flatpak system operation not allowed for user")
    if verb == "remote-add":
        if len(rest) < 2:
            raise Refused("error: NAME and LOCATION must be specified")
        if rest[0] in state["remotes"]:
            if "--if-not-exists" in argv:
                return 0
            raise Refused(f"error: Remote {rest[0]} already exists")
        state["remotes"][rest[0]] = rest[1]
    elif verb == "remote-delete":
        if rest[:1] and rest[0] not in state["remotes"]:
            raise Refused(f'error: Remote "{rest[0]}" not found')
        state["remotes"].pop(rest[0])
    elif verb == "install":
        remote = rest.pop(0) if rest and not APPLICATION.match(rest[0]) else None
        if remote is not None and remote not in state["remotes"]:
            raise Refused(f'error: Remote "{remote}" not found in the {"user" if user else "system"} installation')
        if not state["remotes"]:
            raise Refused("error: No remote refs found")
        for name in rest:
            if not APPLICATION.match(name):
                raise Refused(f"error: Nothing matches {name} in remote {remote or next(iter(state['remotes']))}")
            if name in state["apps"]:
                print(f"Skipping: {name}/x86_64/stable is already installed")
            state["apps"][name] = remote or next(iter(state["remotes"]))
    elif verb in ("uninstall", "remove"):
        for name in rest:
            if name not in state["apps"]:
                raise Refused(f"error: {name}/*unspecified*/*unspecified* not installed")
            del state["apps"][name]
    elif verb in ("update", "upgrade"):
        print("Nothing to do.")
        return 0
    else:
        raise Refused(f"error: '{verb}' is not a flatpak command. See 'flatpak --help'")
    write(place(user), json.dumps(state))
    return 0


if __name__ == "__main__":
    run(main)
