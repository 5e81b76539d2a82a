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
