#!/usr/bin/env python3
# mypy: ignore-errors
"""podman, toolbox and distrobox of a simulated host: containers of a user exist, are listed, made and removed; none runs.

Imitates podman(1) 5.5 (container exists|ls|rm, ps -a, images, image exists, pull), toolbox(1) 0.1 (create, list, rm) and
distrobox 1.8 (create, list, rm). Refuses names that are taken, unknown containers, and running anything in one.
"""

import json
import os
import re
import sys

from simlib import Refused, read, run, write

STATE = os.path.expanduser("~/.local/share/containers/sim.json")


def option(argv, *names):
    """The value of an option."""
    for index, word in enumerate(argv):
        for name in names:
            if word == name and index + 1 < len(argv):
                return argv[index + 1]
            if word.startswith(name + "="):
                return word.partition("=")[2]
    return None


def positional(argv, valued):
    """Words that are no options nor their values."""
    found, rest = [], list(argv)
    while rest:
        word = rest.pop(0)
        if word in valued and rest:
            rest.pop(0)
        elif not word.startswith("-"):
            found.append(word)
    return found


def create(state, name, image):
    if name in state["containers"]:
        raise Refused(f"Error: container {name} already exists")
    state["containers"][name] = image
    state["images"].append(image)
    write(STATE, json.dumps(state))


def remove(state, names):
    for name in names:
        if name not in state["containers"]:
            raise Refused(f'Error: no container with name or ID "{name}" found: no such container')
        del state["containers"][name]
    write(STATE, json.dumps(state))


def podman(argv, state):
    words = positional(argv, ("--format", "--filter", "-f"))
    if "--version" in argv or words[:1] == ["version"]:
        print("podman version 5.5.2")
        return 0
    if words[:2] == ["container", "exists"] and len(words) > 2:
        return 0 if words[2] in state["containers"] else 1
    if words[:2] == ["image", "exists"] and len(words) > 2:
        return 0 if words[2] in state["images"] else 1
    if words[:1] == ["ps"] or words[:2] in (["container", "ls"], ["container", "list"]):
        for name in sorted(state["containers"]) if "-a" in argv or "--all" in argv else ():
            print(name if option(argv, "--format") else f"{name}  {state['containers'][name]}  Created")
        return 0
    if words[:1] == ["images"]:
        for name in sorted(set(state["images"])):
            print(name)
        return 0
    if words[:1] == ["pull"] and len(words) > 1:
        state["images"].append(words[1])
        write(STATE, json.dumps(state))
        return 0
    if words[:1] == ["rm"]:
        remove(state, words[1:])
        return 0
    if words[:1] == ["info"]:
        print("{}")
        return 0
    raise Refused(f"Error: podman {' '.join(words[:1])}: not simulated", 125)


def main(argv):
    state = json.loads(read(STATE, "") or '{"containers": {}, "images": []}')
    program = os.path.basename(sys.argv[0])
    if program == "podman":
        return podman(argv, state)
    valued = ("--image", "-i", "--name", "-n", "--container", "-c", "--release", "-r", "--distro", "-d", "--volume")
    words = positional(argv, valued)
    if "--version" in argv:
        print(f"{program} version 0.1.2")
        return 0
    verb = words[0] if words else ""
    if verb == "create":
        name = option(argv, "--name", "-n", "--container", "-c") or (words[1] if len(words) > 1 else "fedora-toolbox-42")
        if not re.match(r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$", name):
            raise Refused("Error: invalid argument for '--container'")
        create(state, name, option(argv, "--image", "-i") or "registry.fedoraproject.org/fedora-toolbox:42")
        print(f"Created container: {name}")
        return 0
    if verb in ("list", "ls"):
        for name, image in sorted(state["containers"].items()):
            print(f"{name}  {image}")
        return 0
    if verb == "rm":
        remove(state, words[1:])
        return 0
    raise Refused(f"Error: {program} {verb}: not simulated")


if __name__ == "__main__":
    run(main)
