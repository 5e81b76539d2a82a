"""What the simulated GitHub remembers: a JSON file of settings, and one bare git repository each."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nacl.public import PrivateKey, SealedBox

from aether_sim.paths import write_atomic

BRANCH = "main"


class NotThere(Exception):
    """No such repository, file or commit: 404."""


class Conflict(Exception):
    """The file is another than the caller thinks: 409 or 422, as GitHub answers."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Repository:
    """One repository: `settings` is what its JSON says, the rest what hangs on it."""

    id: int
    owner: str
    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    alerts: bool = False
    permissions: dict[str, Any] = field(default_factory=dict)
    selected: dict[str, Any] = field(default_factory=dict)
    workflow: dict[str, Any] = field(default_factory=dict)
    rulesets: dict[str, dict[str, Any]] = field(default_factory=dict)
    environments: dict[str, dict[str, Any]] = field(default_factory=dict)
    # ENVIRONMENT/NAME -> times and SHA-256 of the value: a secret cannot be read back, here as there.
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    secret_key: str = ""
    # Workflow runs, oldest first, with their jobs.
    runs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def full_name(self) -> str:
        return f"{self.owner}/{self.name}"

    @property
    def private(self) -> bool:
        return bool(self.settings.get("private")) or self.settings.get("visibility") == "private"

    def sealed_key(self) -> PrivateKey:
        """The key that callers encrypt secrets for."""
        if not self.secret_key:
            self.secret_key = base64.b64encode(bytes(PrivateKey.generate())).decode()
        return PrivateKey(base64.b64decode(self.secret_key))

    def open_secret(self, sealed: str) -> str:
        """SHA-256 (hexadecimal) of what a sealed box holds. Raises nacl.exceptions.CryptoError."""
        return hashlib.sha256(SealedBox(self.sealed_key()).decrypt(base64.b64decode(sealed))).hexdigest()


class Store:
    """Every repository of the account, kept in DIRECTORY."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.file = directory / "github.json"
        self.repositories: dict[str, Repository] = {}
        self.next_id = 1000
        if self.file.exists():
            document = json.loads(self.file.read_text())
            self.next_id = document["next_id"]
            self.repositories = {entry["name"]: Repository(**entry) for entry in document["repositories"]}

    def save(self) -> None:
        """Write everything but git's part, which is on disk already."""
        document = {
            "next_id": self.next_id,
            "repositories": [vars(repository) for repository in self.repositories.values()],
        }
        write_atomic(self.file, json.dumps(document, indent=1).encode())

    def fresh_id(self) -> int:
        """A number that no other thing of this account has."""
        self.next_id += 1
        return self.next_id

    def by_id(self, number: str) -> Repository:
        """The repository with this number. Raises NotThere."""
        found = next((item for item in self.repositories.values() if str(item.id) == number), None)
        if found is None:
            raise NotThere(number)
        return found

    def git(self, repository: Repository) -> Git:
        """Its git repository."""
        return Git(self.directory / repository.owner / f"{repository.name}.git")

    def create(self, owner: str, name: str, settings: dict[str, Any], auto_init: bool) -> Repository:
        """A new repository, with a README when AUTO_INIT."""
        repository = Repository(self.fresh_id(), owner, name, settings)
        self.repositories[name] = repository
        git = self.git(repository)
        git.init()
        if auto_init:
            git.commit("README.md", f"# {name}\n".encode(), "Initial commit", "GitHub", "noreply@github.com")
        self.save()
        return repository

    def delete(self, repository: Repository) -> None:
        """Remove it with everything in it."""
        del self.repositories[repository.name]
        shutil.rmtree(self.git(repository).path, ignore_errors=True)
        self.save()


@dataclass(frozen=True)
class Git:
    """A bare repository that is changed one file and one commit at a time."""

    path: Path

    def run(self, *arguments: str, stdin: bytes | None = None, index: str = "", **identity: str) -> str:
        """Output of a git command. Raises NotThere when git says no."""
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_SYSTEM": "/dev/null",
            **({"GIT_INDEX_FILE": index} if index else {}),
            **identity,
        }
        done = subprocess.run(
            ["git", "--git-dir", str(self.path), *arguments], input=stdin, capture_output=True, env=environment, check=False
        )
        if done.returncode:
            raise NotThere(done.stderr.decode(errors="replace").strip())
        return done.stdout.decode(errors="replace").strip()

    def init(self) -> None:
        """Make it, empty."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.run("init", "--quiet", "--bare", f"--initial-branch={BRANCH}")

    def head(self, ref: str = BRANCH) -> str:
        """The commit of REF. Raises NotThere."""
        return self.run("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")

    def blob(self, file: str, ref: str = BRANCH) -> str:
        """The blob of FILE. Raises NotThere."""
        found = self.run("rev-parse", "--verify", "--quiet", f"{ref}:{file}")
        if self.run("cat-file", "-t", found) != "blob":
            raise NotThere(f"{file} is a directory")
        return found

    def content(self, blob: str) -> bytes:
        """The bytes of a blob."""
        return subprocess.run(
            ["git", "--git-dir", str(self.path), "cat-file", "blob", blob], capture_output=True, check=True
        ).stdout

    def last_commits(self, file: str, ref: str) -> list[str]:
        """Commits that touched FILE, newest first."""
        return self.run("log", "--format=%H", ref, *(["--", file] if file else [])).split()

    def tree(self, commit: str) -> str:
        """The tree of a commit."""
        return self.run("rev-parse", "--verify", "--quiet", f"{commit}^{{tree}}")

    def files(self, tree: str) -> dict[str, str]:
        """Path to blob of every file in a tree."""
        lines = self.run("ls-tree", "-r", "-z", tree).split("\0")
        return {path: facts.split()[2] for facts, _, path in (line.partition("\t") for line in lines if line)}

    def changed(self, old: str, new: str) -> list[str]:
        """Paths that differ between two commits."""
        return self.run("diff", "--name-only", old, new).splitlines()

    def make_tree(self, base: str, entries: list[dict[str, Any]]) -> str:
        """A tree: BASE with ENTRIES (path, and content or a sha of None to remove it)."""
        with tempfile.TemporaryDirectory() as scratch:
            index = f"{scratch}/index"
            self.run("read-tree", base, index=index)
            lines = []
            for entry in entries:
                if "content" in entry:
                    blob = self.run("hash-object", "-w", "--stdin", stdin=entry["content"].encode())
                    lines.append(f"100644 {blob}\t{entry['path']}\n")
                else:
                    lines.append(f"0 {'0' * 40}\t{entry['path']}\n")
            self.run("update-index", "--index-info", stdin="".join(lines).encode(), index=index)
            return self.run("write-tree", index=index)

    def commit_tree(self, tree: str, parents: list[str], message: str, name: str, email: str) -> str:
        """A commit that no branch knows yet."""
        identity = {
            f"GIT_{role}_{part}": value for role in ("AUTHOR", "COMMITTER") for part, value in (("NAME", name), ("EMAIL", email))
        }
        options = [word for parent in parents for word in ("-p", parent)]
        return self.run("commit-tree", tree, *options, stdin=message.encode(), **identity)

    def move(self, branch: str, commit: str) -> None:
        """Let BRANCH be COMMIT, made where it is not there. Raises Conflict unless that is a fast-forward."""
        try:
            before = self.head(branch)
        except NotThere:
            before = ""
        if before and self.run("merge-base", before, commit) != before:
            raise Conflict(422, "Update is not a fast forward")
        self.run("update-ref", f"refs/heads/{branch}", commit, *([before] if before else []))

    def commit(self, file: str, content: bytes | None, message: str, name: str, email: str) -> str:
        """One commit on the branch that writes FILE, or removes it when CONTENT is None."""
        try:
            parent = self.head()
        except NotThere:
            parent = ""
        with tempfile.TemporaryDirectory() as scratch:
            index = f"{scratch}/index"
            if parent:
                self.run("read-tree", parent, index=index)
            if content is None:
                # --force-remove wants a work tree, which a bare repository has not.
                self.run("update-index", "--index-info", stdin=f"0 {'0' * 40}\t{file}\n".encode(), index=index)
            else:
                blob = self.run("hash-object", "-w", "--stdin", stdin=content)
                self.run("update-index", "--add", "--cacheinfo", f"100644,{blob},{file}", index=index)
            tree = self.run("write-tree", index=index)
        identity = {
            f"GIT_{role}_{part}": value for role in ("AUTHOR", "COMMITTER") for part, value in (("NAME", name), ("EMAIL", email))
        }
        commit = self.run("commit-tree", tree, *(["-p", parent] if parent else []), stdin=message.encode(), **identity)
        self.run("update-ref", f"refs/heads/{BRANCH}", commit, *([parent] if parent else []))
        return commit

    def describe(self, commit: str) -> dict[str, str]:
        """Author, e-mail, date and message of a commit."""
        name, email, date, message = self.run("show", "--no-patch", "--format=%an%x00%ae%x00%aI%x00%B", commit).split("\0", 3)
        return {"name": name, "email": email, "date": date, "message": message.strip()}
