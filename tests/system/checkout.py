"""A checkout of its own with the real engine and the simulator, for tests that change things."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.repository import copied
from inventory.files import REPOSITORY

# Folders of a test's checkout that tests change.
CHANGED = ("inventory", "nix/hosts", "ansible/roles")


@dataclass
class Result:
    """What a command ended with."""

    code: int
    text: str

    def changes(self) -> dict[str, int]:
        """Pulumi's closing counts, like {"unchanged": 65, "to update": 1}."""
        counts: dict[str, int] = {}
        # Behind an empty line `up` goes on with the time that it took, and a table.
        closing = self.text.split("Resources:\n")[-1].split("\n\n")[0]
        lines = closing.splitlines() if "Resources:" in self.text else []
        for line in lines:
            words = line.strip().lstrip("+-~@").split()
            # "+ 3 to create", "~ 1 updated", "23 changes. 32 unchanged"
            for index, word in enumerate(words):
                if word.isdigit() and index + 1 < len(words):
                    name = words[index + 1] if words[index + 1] != "to" else " ".join(words[index + 1 : index + 3])
                    counts[name.rstrip(".")] = int(word)
        return {name: count for name, count in counts.items() if name != "changes"}


@dataclass
class Checkout:
    """A copy of the checkout in a folder of its own, with its own simulator, state and keys."""

    path: Path
    stack: str = "sim"
    environment: dict[str, str] = field(default_factory=dict)
    deployed: str = ""
    """Digest of the sources that the last `up` left the checkout with; empty when that is not known."""

    @classmethod
    def make(cls, path: Path, files: Mapping[str, str] | None = None) -> "Checkout":
        """Copy the tracked and new files of the checkout; the environment and the engine are shared.

        FILES (path to text) take the place of the checkout's, or are added.
        """
        copied(path, files)
        subprocess.run(["git", "init", "-q"], cwd=path, check=True)
        share(path)
        # What goes to hosts is what git knows.
        subprocess.run(["git", "add", "-A"], cwd=path, check=True)
        return cls(path)

    @property
    def python(self) -> str:
        return str(self.path / ".venv/bin/python")

    def env(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "AETHER_", "SOPS_"))}
        # As `aether` has it: commands keep their bytecode, in this checkout.
        kept = {"PYTHONPYCACHEPREFIX": str(self.path / ".aether/cache/python"), "PYTHONDONTWRITEBYTECODE": ""}
        return {**own, **kept, **self.environment}

    def run(self, *command: str, timeout: float = 300, env: Mapping[str, str] | None = None) -> Result:
        done = subprocess.run(
            command,
            cwd=self.path,
            env={**self.env(), **(env or {})},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
        return Result(done.returncode, done.stdout)

    def ops(self, *arguments: str, timeout: float = 900) -> Result:
        return self.run(self.python, "-m", "ops", "--stack", self.stack, *arguments, timeout=timeout)

    def up(self, *arguments: str, timeout: float = 900) -> Result:
        result = self.ops("up", *arguments, timeout=timeout)
        self.deployed = self.sources() if result.code == 0 and not arguments else ""
        return result

    def sources(self) -> str:
        """Digest of what tests change."""
        digest = hashlib.sha256()
        for folder in CHANGED:
            for path in sorted(path for path in (self.path / folder).rglob("*") if path.is_file()):
                digest.update(f"{path}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\0".encode())
        return digest.hexdigest()

    def preview(self, *arguments: str) -> Result:
        return self.ops("preview", *arguments)

    def sim(self, *arguments: str) -> Result:
        return self.run("./aether", "sim", *arguments, timeout=120)

    def fault(self, host: str, name: str, *, off: bool = False) -> None:
        result = self.sim("fault", host, name, *(["--off"] if off else []))
        assert result.code == 0, result.text

    def clear_faults(self) -> None:
        """Every fault off. A simulator that is stopped has none."""
        self.sim("fault", "--clear")

    def ssh(self, host: str, command: str, timeout: float = 60) -> Result:
        return self.run("ssh", "-F", f".aether/ssh/{self.stack}/config", "-n", host, command, timeout=timeout)

    def start(self, *command: str) -> "subprocess.Popen[str]":
        """Start a command in a process group of its own. Its standard input stays open until it ends."""
        return subprocess.Popen(
            command,
            cwd=self.path,
            env=self.env(),
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def resources(self) -> list[dict[str, Any]]:
        """The stack's state."""
        code = f"import json; from ops.stack import Stack; print(json.dumps(Stack({self.stack!r}).resources()))"
        result = subprocess.run(
            [self.python, "-c", code], cwd=self.path, env=self.env(), capture_output=True, text=True, check=True, timeout=60
        )
        found: list[dict[str, Any]] = json.loads(result.stdout)
        return found

    def guests(self) -> dict[str, dict[str, Any]]:
        """Guests that the Proxmox API knows, by name."""
        status = json.loads(self.sim("status", "--json").text)
        return {guest["name"]: guest for guest in status["guests"]}

    def replace(self, file: str, old: str, new: str) -> None:
        """Edit a file of the copy; the old text must be there."""
        path = self.path / file
        text = path.read_text()
        assert old in text, f"{file} does not hold {old!r}"
        path.write_text(text.replace(old, new, 1))

    def touch(self, host: str, what: str) -> None:
        """Change the host's own Nix file, so that its system is another one. WHAT makes the change another one each time."""
        found = [
            path
            for path in (self.path / "nix/hosts").rglob("*.nix")
            if path.stem == host or (path.parent.name == host and path.name == "default.nix")
        ]
        assert len(found) == 1, found
        found[0].write_text(found[0].read_text() + f"# {what}\n")

    def system(self, host: str) -> str:
        """Store path of what the host runs."""
        return self.ssh(host, "readlink -f /run/current-system").text.strip()

    def processes(self, program: str) -> set[int]:
        """Ids of processes whose program is PROGRAM, or below it, under the checkout's .aether."""
        start = f"{self.path}/.aether/{program}".encode()
        found = set()
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and (entry / "cmdline").read_bytes().startswith(start):
                    found.add(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
        return found

    def close(self) -> None:
        self.sim("stop")


def share(path: Path) -> None:
    """Give the checkout at PATH the environment and the engine of this one, so that its own `make setup` finds nothing to do."""
    # .gitignore means the folder, not a link to one.
    with (path / ".git/info/exclude").open("a") as exclude:
        exclude.write("/.venv\n")
    (path / ".aether").mkdir()
    (path / ".venv").symlink_to(REPOSITORY / ".venv")
    for shared in ("engine", "pulumi-home"):
        (path / ".aether" / shared).symlink_to((REPOSITORY / ".aether" / shared).resolve())
    stamp = REPOSITORY / ".aether/environment.stamp"
    if stamp.exists():
        shutil.copy2(stamp, path / ".aether" / stamp.name)
    share_bytecode(path)


def share_bytecode(path: Path) -> None:
    """Give the checkout at PATH the bytecode of this one: to compile 1,300 modules takes a third of a small fleet's first `up`.

    Below the cache a module lies by the whole path of its source. Sources that were copied have the time of those they come from,
    by which Python knows their bytecode.
    """
    ours, theirs = (checkout / ".aether/cache/python" for checkout in (REPOSITORY, path))

    def of(cache: Path, source: Path) -> Path:
        return cache / source.relative_to("/")

    base = Path(sys.base_prefix) / "lib"
    # What Mitogen sends to hosts is known by its text.
    sent = REPOSITORY / ".aether/cache/mitogen"
    sent.mkdir(parents=True, exist_ok=True)
    (path / ".aether/cache").mkdir()
    (path / ".aether/cache/mitogen").symlink_to(sent)
    # The environment goes by two names: scripts in it begin with that of this checkout.
    for source, seen_as in ((REPOSITORY / ".venv", path / ".venv"), (REPOSITORY / ".venv", REPOSITORY / ".venv"), (base, base)):
        of(ours, source).mkdir(parents=True, exist_ok=True)
        of(theirs, seen_as).parent.mkdir(parents=True, exist_ok=True)
        of(theirs, seen_as).symlink_to(of(ours, source))
    for package in ("inventory", "components", "stacks", "ops", "packages", "nix"):
        if (kept := of(ours, REPOSITORY / package)).is_dir():
            # Other processes write there: a file is whole once it has its name.
            shutil.copytree(kept, of(theirs, path / package), ignore=shutil.ignore_patterns("*.pyc.*"))


def wait_until(what: str, condition: Callable[[], bool], seconds: float = 30) -> None:
    """Poll CONDITION until it holds, or fail saying WHAT did not happen."""
    deadline = time.monotonic() + seconds
    while True:
        asked = time.monotonic()
        if condition():
            return
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        # A command that asks takes from what is waited for: half of the time at most.
        time.sleep(max(0.05, time.monotonic() - asked))


def kill_group(process: "subprocess.Popen[str]", number: int = signal.SIGKILL) -> None:
    """End a process and all that it started."""
    os.killpg(process.pid, number)
    process.wait(timeout=30)
