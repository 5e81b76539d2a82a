#!/usr/bin/env python3
# mypy: ignore-errors
"""bootctl of a simulated host with systemd-boot.

Imitates bootctl(1) of systemd 257: status, list [--json], --print-boot-path, set-default, set-oneshot, is-installed,
and the counters of systemd-bless-boot (good, bad, indeterminate, status). EFI variables are kept in /boot/loader/efivars.json.
Refuses a machine without entries (a container) and ids that no entry has.
"""

import json
import os
import re

from simlib import Refused, need_root, read, run, write

ENTRIES = "/boot/loader/entries"
VARIABLES = "/boot/loader/efivars.json"
PATTERN = re.compile(r"^(?P<stem>.+?)(?:\+(?P<left>\d+)(?:-(?P<done>\d+))?)?\.conf$")


def entries():
    found = []
    for file in sorted(os.listdir(ENTRIES)) if os.path.isdir(ENTRIES) else ():
        match = PATTERN.match(file)
        if match:
            text = read(f"{ENTRIES}/{file}")
            version = re.search(r"^version (.*)$", text, re.M)
            found.append(
                {
                    "id": f"{match['stem']}.conf",
                    "path": f"{ENTRIES}/{file}",
                    "title": f"NixOS ({version[1] if version else ''})",
                    "triesLeft": int(match["left"]) if match["left"] else None,
                    "triesDone": int(match["done"] or 0),
                    "init": (re.search(r"init=(\S+)", text) or [None, None])[1],
                }
            )
    if not found:
        raise Refused("Couldn't find EFI system partition.")
    return found


def variables():
    try:
        return json.loads(read(VARIABLES, "{}"))
    except ValueError:
        return {}


def default_id():
    match = re.search(r"^default (\S+)", read("/boot/loader/loader.conf"), re.M)
    return variables().get("LoaderEntryDefault") or (match[1] if match else "")


def main(argv):
    words = [word for word in argv if not word.startswith("--")]
    verb = words[0] if words else "status"
    if "--print-boot-path" in argv or "-x" in argv:
        entries()
        print("/boot")
        return 0
    found = entries()
    if verb == "list":
        default = default_id()
        booted = os.path.realpath("/run/booted-system")
        for entry in found:
            entry["isDefault"] = entry["id"] == default
            entry["isSelected"] = bool(entry["init"] and entry["init"].startswith(booted + "/"))
        if any(word.startswith("--json") for word in argv):
            print(json.dumps(found))
        else:
            for entry in found:
                marks = "".join(
                    f" ({mark})" for key, mark in (("isDefault", "default"), ("isSelected", "selected")) if entry[key]
                )
                print(f"        title: {entry['title']}{marks}\n           id: {entry['id']}\n       source: {entry['path']}\n")
        return 0
    if verb in ("set-default", "set-oneshot"):
        need_root("Failed to update EFI variable: Permission denied")
        if len(words) != 2:
            raise Refused("Too few arguments.")
        if words[1] and words[1] not in [entry["id"] for entry in found]:
            raise Refused(f"Entry '{words[1]}' not found.")
        values = variables()
        values["LoaderEntryDefault" if verb == "set-default" else "LoaderEntryOneShot"] = words[1]
        write(VARIABLES, json.dumps(values))
        return 0
    if verb == "is-installed":
        print("yes")
        return 0
    if verb == "status":
        print(f"System:\n      Firmware: UEFI 2.70 (simulated)\n\nDefault Boot Loader Entry:\n            id: {default_id()}")
        return 0
    raise Refused(f"Unknown command verb '{verb}'.")


if __name__ == "__main__":
    run(main)
