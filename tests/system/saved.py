"""The small fleet, deployed once a run and given to every checkout that begins with it."""

import fcntl
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.system.checkout import Checkout

# A checkout's own: what it shares with others.
_OWN = ("cache", "engine", "pulumi-home", "environment.stamp")
# Where paths and addresses of a checkout are written down, beside what its simulator writes at each start.
_TOLD = ("state", "ssh", "known_hosts")


def give(checkout: Checkout, make: Callable[[Path], Checkout]) -> None:
    """Have CHECKOUT, where nothing is deployed, go on from what MAKE's deployed: hosts, disks and state. Its simulator runs.

    The first process of a run that asks has MAKE make it and deploys it; others wait for that.

    Raises:
        AssertionError: it could not be deployed, by this process or by another.
    """
    saved = _of_the_run(checkout.path) / "small fleet"
    with _alone(saved.with_suffix(".lock")):
        if not saved.exists():
            _deploy(make(saved))
    failed = saved / "failed"
    assert not failed.exists(), failed.read_text()
    for kept in (saved / ".aether").iterdir():
        if kept.name not in _OWN:
            # Disks of hosts are layers of overlays, of which devices and attributes are a part.
            subprocess.run(["cp", "--archive", kept, checkout.path / ".aether"], check=True)
    started = checkout.sim("start", "--stack", checkout.stack)
    assert started.code == 0, started.text
    _move(saved, checkout.path)


def _deploy(checkout: Checkout) -> None:
    try:
        up = checkout.up()
        if up.code:
            (checkout.path / "failed").write_text(up.text[-6000:])
    finally:
        checkout.close()


def _move(old: Path, new: Path) -> None:
    """Write the paths and addresses of the checkout in NEW where it has those of the one in OLD."""
    words = {str(old): str(new), **dict(zip(_addresses(old), _addresses(new), strict=True))}
    for folder in _TOLD:
        for path in (new / ".aether" / folder).rglob("*"):
            if path.is_file():
                text = path.read_text()
                for before, after in words.items():
                    text = text.replace(before, after)
                path.write_text(text)


def _addresses(checkout: Path) -> tuple[str, str, str]:
    """How addresses begin, and the port of SSH as client and list of keys write it."""
    known = json.loads((checkout / ".aether/sim/addresses.json").read_text())
    return f"127.{known['block']}.", f"Port {known['ssh_port']}\n", f"]:{known['ssh_port']} "


def _of_the_run(path: Path) -> Path:
    """pytest's folder of this run, which its processes share."""
    return next(parent for parent in path.parents if parent.name.startswith("pytest-") and parent.name[7:].isdigit())


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
