"""The Aether that a fleet's repository uses: a copy without the example, at a pinned commit, and the way to a newer one.

The fleet's repository has Aether's files beside the owner's. `upstream.toml` names where they are from, and the commit. An
upgrade is one cherry-pick: of the difference between what is taken of that commit and of the newer one. So git merges, as it
merges anything.
"""

import os
import re
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from inventory.files import REPOSITORY
from ops.arguments import parser
from ops.stack import OpsError, Stack

PIN = "upstream.toml"
NOT_TAKEN = "ops/init/not-taken"
"""Pathspecs of what a fleet's repository leaves out; each commit has its own."""
SHOWN = 20
"""Changes that an upgrade lists."""
_HEAD = "refs/aether/head"
_PIN_TEXT = """\
# The Aether that this repository uses: where it is from, and the commit. `./aether upgrade` takes a newer one.
source = "{source}"
commit = "{commit}"
"""


def git(*arguments: str, at: Path, stdin: str | None = None, environment: Mapping[str, str] | None = None) -> str:
    """What `git ARGUMENTS` prints in the folder AT.

    Raises:
        OpsError: it failed; with what it said.
    """
    # A hook that runs this has variables of its own repository.
    own = {name: value for name, value in os.environ.items() if name not in _REPOSITORY_VARIABLES}
    done = subprocess.run(
        ["git", *arguments], cwd=at, input=stdin, capture_output=True, text=True, check=False, env={**own, **(environment or {})}
    )
    if done.returncode:
        raise OpsError(f"git {arguments[0]} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


_REPOSITORY_VARIABLES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY")


@dataclass(frozen=True)
class Pin:
    """What `upstream.toml` says."""

    source: str
    """A git URL, or a path on this machine."""
    commit: str

    @classmethod
    def read(cls, repository: Path) -> "Pin":
        """That of REPOSITORY.

        Raises:
            OpsError: there is none, or it cannot be used.
        """
        path = repository / PIN
        if not path.exists():
            raise OpsError(f"{repository} is Aether itself, not a fleet's repository. Fix: git pull, or ./aether init DIRECTORY")
        try:
            said = tomllib.loads(path.read_text())
            return cls(str(said["source"]), str(said["commit"]))
        except (tomllib.TOMLDecodeError, KeyError) as error:
            raise OpsError(f'{path}: {error}. Fix: write source = "…" and commit = "…" as git log -- {PIN} has them') from None

    def text(self) -> str:
        return _PIN_TEXT.format(source=self.source, commit=self.commit)


class Upstream:
    """Aether's history in a bare repository of its own, and what fleets take of it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fetch(self, source: str) -> None:
        """All branches and tags of SOURCE, a git URL or a path.

        Raises:
            OpsError: it cannot be reached.
        """
        if not (self.path / "HEAD").exists():
            self.path.mkdir(parents=True, exist_ok=True)
            git("init", "--quiet", "--bare", at=self.path)
        refs = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*", f"+HEAD:{_HEAD}")
        try:
            git("fetch", "--quiet", "--force", "--prune", "--update-shallow", "--no-auto-gc", "--", source, *refs, at=self.path)
        except OpsError as error:
            raise OpsError(f"{source} cannot be read: {error}. Fix: --from URL, or source of {PIN}") from None

    def commit(self, name: str = "") -> str:
        """The commit that NAME (a branch, tag or commit) is; of the source's HEAD without one.

        Raises:
            OpsError: there is no such commit.
        """
        try:
            return git("rev-parse", "--verify", "--quiet", f"{name or _HEAD}^{{commit}}", at=self.path).strip()
        except OpsError:
            raise OpsError(f"Aether has no commit '{name}'. Fix: name a branch, a tag or a commit of it") from None

    def taken(self, commit: str, pin: str) -> str:
        """The tree that fleets take of COMMIT: without what `not-taken` of that commit says, and with the text PIN as its pin."""
        with tempfile.TemporaryDirectory(prefix="aether-tree-") as folder:
            own = {"GIT_DIR": str(self.path.absolute()), "GIT_WORK_TREE": folder, "GIT_INDEX_FILE": str(Path(folder, "index"))}
            at = Path(folder)
            git("read-tree", commit, at=at, environment=own)
            listed = git("show", f"{commit}:{NOT_TAKEN}", at=at, environment=own).splitlines()
            specs = "\n".join(line for line in listed if line and not line.startswith("#"))
            git(
                *("rm", "-r", "--quiet", "--cached", "--force", "--ignore-unmatch", "--pathspec-from-file=-"),
                at=at, stdin=specs, environment=own,
            )  # fmt: skip
            blob = git("hash-object", "-w", "--stdin", at=at, stdin=pin, environment=own).strip()
            git("update-index", "--add", "--cacheinfo", f"100644,{blob},{PIN}", at=at, environment=own)
            return git("write-tree", at=at, environment=own).strip()

    def record(self, tree: str, message: str, *parents: str, who: Mapping[str, str]) -> str:
        """A commit of TREE, for a fleet's repository to fetch."""
        above = [word for parent in parents for word in ("-p", parent)]
        made = git("commit-tree", tree, *above, "-m", message, at=self.path, environment=who).strip()
        git("update-ref", f"refs/taken/{made}", made, at=self.path)
        return made

    def give(self, commit: str, repository: Path) -> None:
        """Have REPOSITORY know a recorded COMMIT, and nothing else of this history."""
        where = str(self.path.absolute())
        git("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", where, f"refs/taken/{commit}", at=repository)

    def since(self, old: str, new: str) -> list[str]:
        """Subjects of the commits that NEW has and OLD has not, newest first."""
        return git("log", "--no-merges", "--format=%s", f"{old}..{new}", at=self.path).splitlines()

    def asks(self, old: str, new: str) -> list[str]:
        """What the changelog asks of owners (lines that begin with Do) at NEW and not yet at OLD."""
        before, after = (set(self._asked(commit)) for commit in (old, new))
        return sorted(after - before)

    def _asked(self, commit: str) -> Iterator[str]:
        text = git("show", f"{commit}:CHANGELOG.md", at=self.path)
        yield from re.findall(r"(?m)^- \*\*Do\*\*: (.*)$", text)


def identity(repository: Path, name: str = "aether") -> dict[str, str]:
    """Environment of git for commits that end in REPOSITORY, also where they are made elsewhere: who commits there, else NAME."""
    try:
        said = git("var", "GIT_COMMITTER_IDENT", at=repository)
        name, mail = re.fullmatch(r"(.*) <(.*)> \d+ \S+\s*", said).groups()  # type: ignore[union-attr]
    except OpsError:
        mail = f"{name}@localhost"
    return {
        "GIT_AUTHOR_NAME": name,
        "GIT_AUTHOR_EMAIL": mail,
        "GIT_COMMITTER_NAME": name,
        "GIT_COMMITTER_EMAIL": mail,
    }


@contextmanager
def scratch() -> Iterator[Upstream]:
    """A history that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="aether-upstream-") as folder:
        yield Upstream(Path(folder, "git"))


def upgrade(stack: Stack, arguments: list[str]) -> int:
    """Take what Aether has changed since, as one commit on the branch that is checked out. What you changed stays, and nothing
    is deployed."""
    made = parser("upgrade", upgrade)
    made.add_argument("--to", default="", metavar="REVISION", help="a branch, tag or commit of Aether (default: its newest)")
    made.add_argument(
        "--from", default="", dest="source", metavar="URL", help=f"where Aether is from now on (default: {PIN} says)"
    )
    options = made.parse_args(arguments)
    pin = Pin.read(REPOSITORY)
    _refuse_unfinished(REPOSITORY)
    aether = Upstream(REPOSITORY / ".aether/upstream.git")
    source = options.source or pin.source
    print(f"Reads {source} …", flush=True)
    aether.fetch(source)
    new = aether.commit(options.to)
    try:
        old = aether.commit(pin.commit)
    except OpsError:
        raise OpsError(f"{source} does not have {pin.commit}, which this fleet uses. Fix: --from URL of one that has") from None
    if (new, source) == (old, pin.source):
        print(f"Aether is at {new[:12]} already.")
        return 0
    _take(REPOSITORY, aether, pin, Pin(source, new))
    subjects = aether.since(old, new)
    print(f"Aether is at {new[:12]} of {source}; it was at {old[:12]}.")
    for subject in subjects[:SHOWN]:
        print(f"  {subject}")
    if len(subjects) > SHOWN:
        print(f"  … and {len(subjects) - SHOWN} more")
    if asked := aether.asks(old, new):
        print("Aether asks you to do:\n" + "\n".join(f"  {line}" for line in asked))
    print("Next: make preview says what it does to your machines. Back: git revert HEAD")
    return 0


def _refuse_unfinished(repository: Path) -> None:
    if (repository / git("rev-parse", "--git-path", "CHERRY_PICK_HEAD", at=repository).strip()).exists():
        raise OpsError("An upgrade is half done. Fix: git cherry-pick --continue, or git cherry-pick --abort")
    if changed := git("status", "--porcelain", "--untracked-files=no", at=repository).splitlines():
        files = ", ".join(line[3:] for line in changed[:5]) + (" …" if len(changed) > 5 else "")
        raise OpsError(f"Changes that are not committed: {files}. Fix: git commit, or git stash")


def _take(repository: Path, aether: Upstream, pin: Pin, to: Pin) -> None:
    """Cherry-pick the difference between what is taken at PIN and at TO.

    Raises:
        OpsError: the owner changed the same lines; git holds both, and says how to go on.
    """
    who = identity(repository)
    # The pin is as the owner's file has it, or git would see a change of theirs.
    base = aether.record(aether.taken(pin.commit, (repository / PIN).read_text()), f"Aether at {pin.commit[:12]}", who=who)
    made = aether.record(aether.taken(to.commit, to.text()), f"Use Aether at {to.commit[:12]}", base, who=who)
    aether.give(made, repository)
    try:
        git("cherry-pick", "--allow-empty", made, at=repository, environment=who)
    except OpsError as error:
        _settle(repository, who, error)


def _settle(repository: Path, who: Mapping[str, str], error: OpsError) -> None:
    """End a cherry-pick that stopped: files that the owner removed stay removed; anything else is for the owner."""
    unmerged = git("status", "--porcelain", "-z", at=repository).split("\0")
    removed = [line[3:] for line in unmerged if line[:2] == "DU"]
    if removed:
        git("rm", "--quiet", "--", *removed, at=repository)
    both = sorted(git("diff", "--name-only", "--diff-filter=U", at=repository).splitlines())
    if not both and removed:
        git("-c", "core.editor=true", "cherry-pick", "--continue", at=repository, environment=who)
        return
    if not both:
        raise error
    raise OpsError(
        f"Changed by you and by Aether in the same lines: {', '.join(both)}. Both are in the files.\n"
        "Fix: mend them, git add them, git cherry-pick --continue. Or leave it as it was: git cherry-pick --abort"
    )
