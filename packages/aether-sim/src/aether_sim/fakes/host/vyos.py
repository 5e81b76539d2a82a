# mypy: ignore-errors
"""The login shell of a simulated VyOS router: operational and configuration mode on a terminal.

Imitates VyOS 1.4's vbash (https://docs.vyos.io/en/sagitta/cli.html) as far as roles and tests type: show version, host name,
configuration commands; configure, set, delete, compare [saved], commit, save, exit [discard]; set terminal; reboot in N, cancel;
prompts, words and refusals: paths that are not valid, what is set already, nothing to delete, an address without its prefix,
leaving with uncommitted changes. The running configuration is lost at a reboot unless it was saved. `-c COMMAND` runs a POSIX
shell, as vbash does for scripts. A configuration is a set of paths, tuples of words; without VyOS's schema a leaf is told from a
node by the nodes below: nothing is below a leaf. config.boot holds the commands that set them.
"""

import os
import shlex
import subprocess
import sys

from simlib import read, words, write

SAVED, RUNNING = "/config/config.boot", "/dev/shm/vyos-running"
# Top-level nodes of VyOS 1.4 (https://docs.vyos.io/en/sagitta/configuration/index.html).
TOP = words(
    "container firewall high-availability interfaces load-balancing nat nat64 nat66 pki policy protocols qos service system "
    "vpn vrf"
)
INITIAL = """set interfaces loopback lo
set service ssh port 22
set system config-management commit-revisions 100
set system host-name {}
set system login user vyos authentication plaintext-password ''
"""


def load(path):
    """The paths kept in a file; those of an installation where there is none."""
    return {tuple(shlex.split(line)[1:]) for line in (read(path) or INITIAL.format(os.uname().nodename)).splitlines()}


def commands(paths):
    """The lines of `show configuration commands`: the value of a leaf is in quotes."""
    return "".join("set " + " ".join([*path[:-1], f"'{path[-1]}'"]) + "\n" for path in sorted(paths))


def under(paths, path):
    return {item for item in paths if item[: len(path)] == path}


def difference(old, new):
    """The lines of `compare`."""
    changed = dict.fromkeys(old - new, "-") | dict.fromkeys(new - old, "+")
    return "\n".join(f"[{' '.join(path[:-1])}]\n{sign} {path[-1]}" for path, sign in sorted(changed.items()))


class Shell:
    """One login."""

    def __init__(self):
        self.configuring = False
        if not os.path.exists(RUNNING):
            # The first login after a boot finds the saved configuration running.
            write(RUNNING, commands(load(SAVED)))
        self.work = self.running = load(RUNNING)

    def prompt(self):
        name = f"{os.environ.get('USER', 'vyos')}@{os.uname().nodename}"
        return f"[edit]\n{name}# " if self.configuring else f"{name}:~$ "

    def operate(self, words):
        """The answer to a line of operational mode."""
        match words:
            case ["configure"]:
                self.running = load(RUNNING)
                self.work, self.configuring = set(self.running), True
                return ""
            case ["show", "version"]:
                return "Version:          VyOS 1.4.2\nRelease train:    sagitta\nArchitecture:     x86_64\n"
            case ["show", "host", "name"]:
                return os.uname().nodename
            case ["show", "configuration", "commands"]:
                return commands(load(RUNNING)).rstrip("\n")
            case ["set", "terminal", *_]:
                return ""
            case ["reboot", "in", minutes] if minutes.isdigit():
                subprocess.run(["shutdown", "-r", f"+{minutes}"])
                return f"\nReboot is scheduled in {minutes} minutes\n"
            case ["reboot", "cancel"]:
                subprocess.run(["shutdown", "-c"])
                return "Reboot canceled"
            case ["reboot"] | ["reboot", "now"]:
                subprocess.run(["shutdown", "-r", "now"])
                return ""
            case ["exit"]:
                raise EOFError
        return f"\n  Invalid command: [{words[0]}]\n"

    def configure(self, words):
        """The answer to a line of configuration mode."""
        verb, path = words[0], tuple(words[1:])
        if verb in ("set", "delete") and (not path or path[0] not in TOP or (verb == "set" and len(path) < 2)):
            return f"\n  Configuration path: [{' '.join(path)}] is not valid\n\n  {verb.capitalize()} failed\n"
        match words:
            case ["set", *_] if under(self.work, path):
                return f"\n  Configuration path: [{' '.join(path)}] already exists\n"
            case ["set", *_]:
                # A node that was a leaf of the same path disappears into it.
                self.work = self.work - {path[:length] for length in range(1, len(path))} | {path}
            case ["delete", *_] if not under(self.work, path):
                return "\n  Nothing to delete (the specified node does not exist)\n"
            case ["delete", *_]:
                self.work = self.work - under(self.work, path)
            case ["compare", *saved]:
                changes = difference(load(SAVED) if saved else self.running, self.work)
                return (changes or f"No changes between working and {'saved' if saved else 'active'} configurations.") + "\n"
            case ["commit", *_]:
                return self.commit()
            case ["save"]:
                write(SAVED, commands(self.running))
                return f"Saving configuration to '{SAVED}'...\nDone\n"
            case ["exit"] if self.work != self.running:
                return "Cannot exit: configuration modified.\nUse 'exit discard' to discard the changes and exit."
            case ["exit"] | ["exit", "discard"]:
                self.configuring = False
                return "exit"
            case _:
                return f"\n  Invalid command: [{verb}]\n"
        return ""

    def commit(self):
        if self.work == self.running:
            return "No configuration changes to commit"
        for path in self.work:
            # What VyOS's own check of a commit says, for the mistake that matters most.
            if path[0] == "interfaces" and path[-2] == "address" and path[-1] not in ("dhcp", "dhcpv6") and "/" not in path[-1]:
                return f"\nError: {path[-1]} is not a valid IP prefix\n\n[[interfaces]] failed\nCommit failed\n"
        write(RUNNING, commands(self.work))
        self.running = self.work
        for path in self.work:
            if path[:2] == ("system", "host-name") and path[2] != os.uname().nodename:
                subprocess.run(["hostname", path[2]])
        return ""

    def loop(self):
        while True:
            sys.stdout.write(self.prompt())
            sys.stdout.flush()
            line = sys.stdin.readline()
            try:
                # `| no-more` and the like are the terminal's.
                words = shlex.split(line.split("|")[0])
                said = (self.configure if self.configuring else self.operate)(words) if words else ""
            except EOFError:
                return 0
            except ValueError as error:
                said = f"\n  Invalid command: {error}\n"
            if not line:
                return 0
            if said:
                sys.stdout.write(said + "\n")


def main(argv):
    if "-c" in argv:
        os.execv("/bin/bash", ["/bin/bash", "-c", argv[argv.index("-c") + 1]])
    return Shell().loop()
