# mypy: ignore-errors
"""What the programs of simulated hosts share. Runs inside a host, on any Python from 3.9, without the project."""

import errno
import fcntl
import json
import os
import sys
from contextlib import contextmanager

STATE = "/var/lib/aether-sim"
FAULTS = "/run/aether-sim/faults.json"


class Refused(Exception):
    """Ends the program with a message on stderr and an exit code."""

    def __init__(self, message, code=1):
        super().__init__(message)
        self.code = code


def words(text):
    """The words of a text: a list that a person can read."""
    return text.split()


def options(
    argv: "list[str] | tuple[str, ...]", valued: str = "", first: bool = False
) -> "tuple[dict[str, list[str]], list[str]]":
    """Options of a command line (name -> values) and its other words. VALUED: options with a value, `--unit/-u` for both names
    of one, `--option:2` for two values; with FIRST everything from the first word on is words.
    """
    table = {}
    for entry in valued.split():
        names, _, count = entry.partition(":")
        table |= dict.fromkeys(names.split("/"), (names.split("/")[0], int(count or 1)))
    found, plain, rest = {}, [], list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--" or (first and not word.startswith("-")):
            return found, plain + ([] if word == "--" else [word]) + rest
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            plain.append(word)
            continue
        if not word.startswith("--") and name not in table:
            # Letters: each is an option, and what follows one with a value is that.
            name, value = word[:2], word[2:]
            equals = value
            if name not in table:
                found |= {f"-{letter}": found.get(f"-{letter}", []) for letter in word[1:]}
                continue
        key, count = table.get(name, (name, 0))
        given = [value] if equals else [rest.pop(0) for _ in range(min(count, len(rest)))]
        found[key] = found.get(key, []) + given
    return found, plain


def faults():
    """Faults of this host that are on: name -> {value, good}."""
    try:
        with open(FAULTS) as handle:
            return json.load(handle)
    except (OSError, ValueError):
        return {}


def need_root(message):
    """Refuse a caller who is not root."""
    if os.geteuid() != 0:
        raise Refused(message)


def load(name, default):
    """State kept by a program, in the host's own root."""
    try:
        with open(f"{STATE}/{name}.json") as handle:
            return json.load(handle)
    except (OSError, ValueError):
        return default


def save(name, value):
    """Keep state, so that a crash leaves the old or the new."""
    write(f"{STATE}/{name}.json", json.dumps(value, indent=1))


def write(path, text, mode=0o644):
    """Replace a file in one step."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    part = f"{path}.{os.getpid()}.new"
    with open(part, "w") as handle:
        handle.write(text)
    os.chmod(part, mode)
    os.replace(part, path)


def read(path, default=""):
    """Text of a file, or the default."""
    try:
        with open(path, errors="replace") as handle:
            return handle.read()
    except OSError:
        return default


def link(target, path):
    """Make or replace a symbolic link in one step."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    part = f"{path}.{os.getpid()}.new"
    os.symlink(target, part)
    os.replace(part, path)


@contextmanager
def locked(path, message, wait=False, code=1):
    """Hold a lock file. Raises Refused with the message and the exit code when another process has it."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            if error.errno != errno.EWOULDBLOCK:
                raise
            raise Refused(message, code) from None
        yield
    finally:
        os.close(descriptor)


def run(main):
    """Call main(argv) and leave with its exit code; a refusal is printed."""
    try:
        code = main(sys.argv[1:])
    except Refused as refused:
        if str(refused):
            sys.stderr.write(f"{refused}\n")
        code = refused.code
    except BrokenPipeError:
        code = 141
    sys.exit(code or 0)
