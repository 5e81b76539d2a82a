#!/usr/bin/env python3
# mypy: ignore-errors
"""The login shell of a simulated VyOS router: operational and configuration mode on a terminal.

Imitates VyOS 1.4's vbash (https://docs.vyos.io/en/sagitta/cli.html): show version|host name|configuration [commands]|interfaces,
configure, set, delete, show, compare [saved], commit [comment …|confirm], save, discard, exit [discard], run, edit,
top, up, set terminal …,
reboot [now|in N|cancel]; prompts, words and refusals: paths that are not valid, what is set already, nothing to delete, leaving
with uncommitted changes, a configuration locked by somebody else. The running configuration is lost at a reboot unless it was
saved. `-c COMMAND` runs a POSIX shell, as vbash does for scripts.
"""

import fcntl
import os
import shlex
import subprocess
import sys

import vyos_config as config

LOCK = "/dev/shm/vyos-configure.lock"
VERSION = (
    "Version:          VyOS 1.4.2\nRelease train:    sagitta\n\nBuilt by:         autobuild@vyos.net\nArchitecture:     x86_64\n"
)


def hostname():
    return os.uname().nodename


class Shell:
    """One login."""

    def __init__(self):
        self.configuring = False
        self.running = config.load(config.RUNNING, hostname()) if os.path.exists(config.RUNNING) else self.boot()
        self.work = set(self.running)
        self.level = ()
        self.lock = None

    @staticmethod
    def boot():
        """The first login after a boot finds the saved configuration running."""
        loaded = config.load(config.SAVED, hostname())
        config.keep(config.RUNNING, loaded)
        return loaded

    def prompt(self):
        user = os.environ.get("USER", "vyos")
        if self.configuring:
            return f"[edit{' ' if self.level else ''}{' '.join(self.level)}]\n{user}@{hostname()}# "
        return f"{user}@{hostname()}:~$ "

    def say(self, text=""):
        sys.stdout.write(text + "\n")

    # Operational mode

    def operate(self, words):
        match words:
            case ["configure" | "conf"]:
                self.enter()
            case ["show" | "sh", "version"]:
                self.say(VERSION)
            case ["show", "host", "name"]:
                self.say(hostname())
            case ["show", "configuration", "commands"]:
                self.say("\n".join(config.commands(config.load(config.RUNNING, hostname()))))
            case ["show", "configuration"]:
                self.say(config.tree_text(config.load(config.RUNNING, hostname())))
            case ["show", "interfaces"]:
                self.interfaces()
            case ["set", "terminal", *_] | ["terminal", *_] | ["reset", "terminal"]:
                pass
            case ["reboot", *rest]:
                self.reboot(rest)
            case ["poweroff", "now"]:
                subprocess.run(["poweroff"])
            case ["exit" | "logout" | "quit"]:
                raise EOFError
            case ["sudo", *rest] if rest:
                sys.stdout.flush()
                subprocess.run(rest)
            case _:
                self.say(f"\n  Invalid command: [{words[0]}]\n")

    def interfaces(self):
        self.say("Codes: S - State, L - Link, u - Up, D - Down, A - Admin Down")
        self.say("Interface    IP Address     S/L  Description\n-----------  -------------  ---  -----------")
        for path in sorted(config.load(config.RUNNING, hostname())):
            if path[0] == "interfaces" and "address" in path and len(path) == path.index("address") + 2:
                self.say(f"{path[2]:12} {path[-1]:14} u/u")

    def reboot(self, rest):
        match rest:
            case ["now"] | []:
                subprocess.run(["shutdown", "-r", "now"])
            case ["in", minutes] if minutes.isdigit():
                if subprocess.run(["shutdown", "-r", f"+{minutes}"]).returncode == 0:
                    self.say(f"\nReboot is scheduled in {minutes} minutes\n")
            case ["cancel"]:
                subprocess.run(["shutdown", "-c"])
                self.say("Reboot canceled")
            case _:
                self.say(f"\n  Invalid command: reboot [{rest[0]}]\n")

    # Configuration mode

    def enter(self):
        self.lock = open(LOCK, "a")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.say("WARNING: There are already active configuration sessions")
        self.running = config.load(config.RUNNING, hostname())
        self.work, self.level, self.configuring = set(self.running), (), True

    def configure(self, words):
        match words:
            case ["set", *path]:
                self.set(self.level + tuple(path))
            case ["delete", *path]:
                self.delete(self.level + tuple(path))
            case ["comment", *_]:
                pass
            case ["show", *path]:
                below = config.under(self.work, self.level + tuple(path))
                self.say(config.tree_text(below) if below else "Configuration under specified path is empty")
            case ["compare"]:
                self.compare(self.running, "No changes between working and active configurations.")
            case ["compare", "saved"]:
                self.compare(config.load(config.SAVED, hostname()), "No changes between working and saved configurations.")
            case ["commit", *_]:
                self.commit()
            case ["save", *rest]:
                self.save(rest)
            case ["load", *_] | ["merge", *_]:
                self.say("Loading is not simulated\n")
            case ["discard"]:
                changed = self.work != self.running
                self.work = set(self.running)
                self.say("Changes have been discarded\n" if changed else "No changes have been discarded\n")
            case ["edit", *path]:
                self.level += tuple(path)
            case ["up"]:
                self.level = self.level[:-1]
            case ["top"]:
                self.level = ()
            case ["run", *rest]:
                self.operate(rest)
            case ["exit" | "quit"]:
                self.leave(False)
            case ["exit", "discard"]:
                self.leave(True)
            case _:
                self.say(f"\n  Invalid command: [{words[0]}]\n")

    def set(self, path):
        if len(path) < 2 or path[0] not in config.TOP:
            self.say(f"\n  Configuration path: [{' '.join(path)}] is not valid\n\n  Set failed\n")
        elif not config.add(self.work, path):
            self.say(f"\n  Configuration path: [{' '.join(path)}] already exists\n")

    def delete(self, path):
        if path and path[0] not in config.TOP:
            self.say(f"\n  Configuration path: [{' '.join(path)}] is not valid\n\n  Delete failed\n")
        elif not config.remove(self.work, path):
            self.say("\n  Nothing to delete (the specified node does not exist)\n")

    def compare(self, other, nothing):
        self.say((config.difference(other, self.work) or nothing) + "\n")

    def commit(self):
        if self.work == self.running:
            self.say("No configuration changes to commit")
            return
        problem = self.refused()
        if problem:
            self.say(f"\n{problem}\n\n[[system]] failed\nCommit failed\n")
            return
        config.keep(config.RUNNING, self.work)
        self.running = set(self.work)
        names = [path[2] for path in self.work if path[:2] == ("system", "host-name") and len(path) == 3]
        if names and names[0] != hostname():
            subprocess.run(["hostname", names[0]])

    def refused(self):
        """What VyOS's own checks of a commit would say, for the mistakes that matter most."""
        if not config.under(self.work, ("service", "ssh")):
            return None
        for path in self.work:
            if path[:2] == ("firewall", "group") and path[-1] == "":
                return "Firewall group name must not be empty"
            if path[0] == "interfaces" and "address" in path and len(path) == path.index("address") + 2:
                value = path[-1]
                if value not in ("dhcp", "dhcpv6") and "/" not in value:
                    return f"Error: {value} is not a valid IP prefix"
        return None

    def save(self, rest):
        if self.work != self.running:
            self.say("Warning: you have uncommitted changes that will not be saved.\n")
        config.keep(config.SAVED, self.running)
        config.write(config.BOOT_FILE, config.tree_text(self.running))
        self.say(f"Saving configuration to '{rest[0] if rest else config.BOOT_FILE}'...\nDone\n")

    def leave(self, discard):
        if self.work != self.running and not discard:
            self.say("Cannot exit: configuration modified.\nUse 'exit discard' to discard the changes and exit.")
            return
        if self.level and not discard:
            self.level = ()
            return
        self.configuring = False
        self.say("exit")
        if self.lock is not None:
            self.lock.close()

    def loop(self):
        while True:
            sys.stdout.write(self.prompt())
            sys.stdout.flush()
            line = sys.stdin.readline()
            if not line:
                return 0
            line = line.split("|")[0].strip()
            if not line:
                continue
            try:
                words = shlex.split(line)
            except ValueError as error:
                self.say(f"\n  Invalid command: {error}\n")
                continue
            try:
                (self.configure if self.configuring else self.operate)(words)
            except EOFError:
                return 0
            except KeyboardInterrupt:
                self.say()


def main():
    if "-c" in sys.argv:
        command = sys.argv[sys.argv.index("-c") + 1]
        os.execv("/bin/bash", ["/bin/bash", "-c", command])
    return Shell().loop()


if __name__ == "__main__":
    sys.exit(main())
