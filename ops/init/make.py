"""Making a fleet's repository: beside where it will be, and moved there when it is whole."""

import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from inventory.load import load_all
from inventory.owner import unused
from inventory.secret_manager import SecretManager
from inventory.secret_store import DEFAULT_KEY_FILE, SecretStore, SecretStoreError, tool
from ops.init import fleet
from ops.init.questions import Answers
from ops.stack import OpsError
from ops.upstream import Pin, git, identity, scratch

BRANCH = "main"
ROOT_KEY = "pki-root.key"
_NEEDED = (("git", "git"), ("ssh-keygen", "openssh-client"), ("openssl", "openssl"))


def check_target(target: Path) -> None:
    """Whether a repository can be made at TARGET.

    Raises:
        OpsError: something is there, its parent is not, or tools are missing.
    """
    if target.is_dir() and any(target.iterdir()):
        theirs = (target / "upstream.toml").exists()
        hint = f"it is a fleet's repository already: cd {target}, make up" if theirs else "name an empty folder, or none"
        raise OpsError(f"{target}: is not empty. Nothing was changed. Fix: {hint}")
    if target.exists() and not target.is_dir():
        raise OpsError(f"{target}: is a file. Fix: name an empty folder, or none")
    if not target.parent.is_dir():
        raise OpsError(f"{target.parent}: does not exist. Fix: mkdir -p {target.parent}")
    if not os.access(target.parent, os.W_OK):
        raise OpsError(f"{target.parent}: may not be written to. Fix: name a folder of yours")
    if missing := [package for program, package in _NEEDED if not shutil.which(program)]:
        raise OpsError(f"Missing on this machine. Fix: sudo apt install {' '.join(missing)} (or what your system calls them)")
    try:
        tool("sops")
        tool("age-keygen")
    except SecretStoreError as error:
        raise OpsError(str(error)) from None


def make(target: Path, answers: Answers, checkout: Path, key_file: Path | None, say: Callable[[str], None]) -> list[str]:
    """The repository at TARGET, which uses the Aether of CHECKOUT; TARGET is there whole, or not at all.

    Args:
        key_file: the owner's private key for secrets; sops' own default, made where there is none.

    Returns:
        What the owner has to know of files outside of TARGET.
    """
    with _beside(target) as folder, tempfile.TemporaryDirectory(prefix="aether-keys-") as keys:
        say("Aether's files …")
        _take(folder, checkout, answers["user"])
        say("Keys and secrets …")
        for name, text in fleet.files(answers).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        owner = (key_file or DEFAULT_KEY_FILE).expanduser()
        _secrets(folder, answers, owner, Path(keys))
        git("add", "--all", at=folder)
        message = f"Begin the fleet {answers['site']}: {answers['node']}, {answers['container']}, {answers['vm']}"
        git("commit", "--quiet", "-m", message, at=folder, environment=identity(folder, answers["user"]))
        notices = _keep(Path(keys), owner, answers["site"])
        folder.replace(target)
    return notices


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A folder on TARGET's file system, which is gone at the end unless it was moved."""
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _take(folder: Path, checkout: Path, user: str) -> None:
    """Aether's files at CHECKOUT's commit as the first commit of a repository in FOLDER."""
    commit = git("rev-parse", "HEAD", at=checkout).strip()
    pin = Pin(source(checkout), commit)
    git("init", "--quiet", f"--initial-branch={BRANCH}", at=folder)
    who = identity(folder, user)
    with scratch() as aether:
        aether.fetch(str(checkout))
        made = aether.record(aether.taken(commit, pin.text()), f"Use Aether at {commit[:12]}", who=who)
        aether.give(made, folder)
    git("reset", "--quiet", "--hard", made, at=folder)


def source(checkout: Path) -> str:
    """Where upgrades come from: what CHECKOUT was cloned from, or itself where that does not have its commit."""
    try:
        url = git("remote", "get-url", "origin", at=checkout).strip()
    except OpsError:
        return str(checkout)
    if not git("branch", "--remotes", "--contains", "HEAD", "--list", "origin/*", at=checkout).strip():
        return str(checkout)
    return str((checkout / url).resolve()) if "://" not in url and (checkout / url).exists() else url


def uncommitted(checkout: Path) -> bool:
    """Whether CHECKOUT has changes that no commit has: a fleet does not take them."""
    return bool(git("status", "--porcelain", "--untracked-files=no", at=checkout).strip())


def _secrets(folder: Path, answers: Answers, owner: Path, keys: Path) -> None:
    """Every key and value again, for the owner of the key file OWNER; what is to be kept outside of FOLDER goes to KEYS."""
    public, private = keys / "operator.pub", keys / "keys.txt"
    public.write_text(answers["ssh_key"] + "\n")
    if owner.exists():
        private.symlink_to(owner.absolute())
    inventory = folder / fleet.INVENTORY
    said = io.StringIO()
    try:
        with redirect_stdout(said):
            SecretManager([inventory], SecretStore(folder / "secrets")).new_owner(private, public)
    except (SecretStoreError, ValueError, RuntimeError) as error:
        raise OpsError(f"The secrets could not be made: {error}") from None
    load_all([inventory])


def _keep(keys: Path, owner: Path, site: str) -> list[str]:
    """Move what only the owner may have beside OWNER, where nothing is written over."""
    notices = []
    owner.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    private = keys / "keys.txt"
    if not private.is_symlink():
        shutil.move(private, owner)
        notices.append(f"{owner}: your private key. Keep a copy off this machine: without it nothing can be decrypted")
    root = unused(owner.with_name(f"{site}-{ROOT_KEY}"))
    shutil.move(keys / ROOT_KEY, root)
    return [*notices, f"{root}: key of your root certificate. Keep it off this machine: it signs new intermediates alone"]
