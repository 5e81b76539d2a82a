"""Files that exist for the time of an installation: whom to trust, and the host's private key."""

import contextlib
import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from inventory import agekey
from inventory.files import REPOSITORY
from inventory.keys import bare
from inventory.secret_store import SecretStore, SecretStoreError
from ops.install.anywhere import ALIAS
from ops.stack import OpsError, Stack

_PREFIX = "aether-install-"


def private_key(stack: Stack, host: str, pinned: str) -> str:
    """HOST's SSH private key from its sops file, which has to be the inventory's PINNED one.

    Raises:
        OpsError: there is none, it cannot be decrypted, or it is another one.
    """
    root = REPOSITORY / (stack.setting("secrets") or "secrets")
    identity = stack.environment().get("SOPS_AGE_KEY_FILE")
    store = SecretStore(root, Path(identity) if identity else None)
    file = f"hosts/{host}.yaml"
    if not (root / file).is_file():
        raise OpsError(f"{root / file} does not exist. Fix: ./aether secrets init {host}")
    try:
        key = str(store.read(file).get("ssh_host_ed25519_key", ""))
        public = agekey.public_key(key)
    except SecretStoreError as error:
        raise OpsError(str(error)) from None
    except ValueError as error:
        raise OpsError(f"{root / file}: ssh_host_ed25519_key {error}. Fix: ./aether secrets rotate {host}") from None
    if public != bare(pinned):
        raise OpsError(
            f"{root / file}: ssh_host_ed25519_key is not the key of host_key in the inventory: the host would never be let in. "
            f"Fix: ./aether secrets rotate {host}"
        )
    return key


@contextlib.contextmanager
def workspace() -> Iterator[Path]:
    """A folder that nobody else can read, in memory where there is one for it; removed at the end, also by Ctrl-C or SIGTERM.

    What an installation left that was killed is removed too.
    """
    place = _place()
    _sweep(place)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=place))
    try:
        with _interruptible():
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def known_hosts(folder: Path, key: str) -> Path:
    """The file that trusts KEY alone."""
    path = folder / "known_hosts"
    path.write_text(f"{ALIAS} {bare(key)}\n")
    return path


def extra_files(folder: Path, private: str, *, path: str, store: str) -> Path:
    """The tree that is copied into the new system's root: the host's key at PATH, under STORE where the root is not kept.

    The private half is readable by its owner alone; folders are as the system has them.
    """
    root = folder / "files"
    key = root / f"{store}{path}".lstrip("/")
    for above in (root, *reversed([parent for parent in key.parents if parent.is_relative_to(root) and parent != root])):
        above.mkdir(mode=0o755, exist_ok=True)
        above.chmod(0o755)
    descriptor = os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(private if private.endswith("\n") else f"{private}\n")
    public = key.with_name(f"{key.name}.pub")
    public.write_text(f"{agekey.public_key(private)}\n")
    public.chmod(0o644)
    if store:
        # Bound over the empty root's: it has to be there before the first boot.
        machine = root / f"{store}/etc/machine-id".lstrip("/")
        machine.write_text(f"{uuid.uuid4().hex}\n")
        machine.chmod(0o444)
    return root


def _place() -> Path | None:
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and os.access(memory, os.W_OK) else None


def _sweep(place: Path | None) -> None:
    for left in (place or Path(tempfile.gettempdir())).glob(f"{_PREFIX}*"):
        pid = left.name.removeprefix(_PREFIX).partition("-")[0]
        with contextlib.suppress(OSError, ValueError):
            if left.stat().st_uid == os.getuid() and not _lives(int(pid)):
                shutil.rmtree(left, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """A pipeline that is cancelled sends SIGTERM: it ends as Ctrl-C does, with everything put away."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {name: signal.signal(name, interrupt) for name in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
