# mypy: ignore-errors
"""The configuration tree of a simulated VyOS router: paths that are set, compared, committed and saved.

A path is a tuple of words. Without VyOS's schema a leaf is told from a node by the nodes below: nothing is below a leaf.
"""

import json
import shlex

from simlib import read, words, write

SAVED, RUNNING = "/config/config.json", "/dev/shm/vyos-running.json"
BOOT_FILE = "/config/config.boot"
# Top-level nodes of VyOS 1.4 (https://docs.vyos.io/en/sagitta/configuration/index.html).
TOP = frozenset(
    words(
        "container firewall high-availability interfaces load-balancing nat nat64 nat66 pki policy protocols qos "
        "service system vpn vrf"
    )
)
INITIAL = (
    "interfaces loopback lo",
    "service ssh port 22",
    "system config-management commit-revisions 100",
    "system host-name {name}",
    "system login user vyos authentication plaintext-password ''",
)


def load(path, name):
    """The paths kept in a file; those of an installation where there is none."""
    text = read(path)
    if not text:
        return {tuple(shlex.split(line.format(name=name))) for line in INITIAL}
    return {tuple(item) for item in json.loads(text)}


def keep(path, config):
    """Write the paths to a file."""
    write(path, json.dumps(sorted(config)))


def under(config, path):
    """Paths at or below a path."""
    return {item for item in config if item[: len(path)] == path}


def add(config, path):
    """Set a path. A node that was a leaf of the same path disappears into it. False: it is there already."""
    if under(config, path):
        return False
    for length in range(1, len(path)):
        config.discard(path[:length])
    config.add(path)
    return True


def remove(config, path):
    """Delete a path and what is below. False: there was nothing."""
    found = under(config, path)
    config.difference_update(found)
    return bool(found)


def quoted(path):
    """A path as `show configuration commands` prints it: the value of a leaf in quotes."""
    if len(path) < 2:
        return " ".join(path)
    return " ".join(path[:-1]) + f" '{path[-1]}'"


def commands(config):
    """The lines of `show configuration commands`."""
    return [f"set {quoted(path)}" for path in sorted(config)]


def difference(old, new):
    """The lines of `compare`: [edit PATH] and what goes or comes below it."""
    lines = []
    changed = dict.fromkeys(old - new, "-") | dict.fromkeys(new - old, "+")
    for path, sign in sorted(changed.items()):
        lines.append(f"[{' '.join(path[:-1])}]\n{sign} {path[-1]}")
    return "\n".join(lines)


def tree_text(config):
    """The configuration as config.boot has it: nested in braces."""
    root = {}
    for path in sorted(config):
        node = root
        for word in path:
            node = node.setdefault(word, {})

    def render(node, depth):
        out = []
        for word, below in node.items():
            indent = "    " * depth
            if below and all(not deeper for deeper in below.values()) and len(below) == 1:
                out.append(f"{indent}{word} {shlex.quote(next(iter(below)))}")
            elif below:
                out.append(f"{indent}{word} {{")
                out += render(below, depth + 1)
                out.append(f"{indent}}}")
            else:
                out.append(f"{indent}{word}")
        return out

    return "\n".join(render(root, 0)) + "\n"
