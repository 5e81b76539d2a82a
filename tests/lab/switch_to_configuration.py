"""nixpkgs' own switch-to-configuration (Rust), built from the tree in ``NIXTREES`` for the lab's systems.

It is built by the machine's cargo against libdbus, and against the D-Bus interfaces of the lab's systemd; kept in the cache by
the hash of its source.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

from tests.lab.disk import CACHE, Base, alone, nix

PACKAGE = "nixpkgs/pkgs/by-name/sw/switch-to-configuration-ng"
NAME = "switch-to-configuration"
# Which program tells which interface.
_INTERFACES = {
    "org.freedesktop.systemd1.Manager": ("systemd", "/org/freedesktop/systemd1"),
    "org.freedesktop.login1.Manager": ("systemd-logind", "/org/freedesktop/login1"),
}


def missing(environment: Mapping[str, str] = os.environ) -> str:
    """Why it cannot be built here; empty where it can."""
    trees = environment.get("NIXTREES")
    if not trees:
        return "NIXTREES is not set: nixpkgs' own switch-to-configuration is built from its tree"
    if not (source := Path(trees) / PACKAGE).is_dir():
        return f"NIXTREES has no {PACKAGE}: nixpkgs' own switch-to-configuration is built from {source}"
    path = environment.get("PATH")
    if not shutil.which("cargo", path=path):
        return "cargo is not installed, which builds nixpkgs' own switch-to-configuration. Fix: apt install cargo, or rustup.rs"
    found = shutil.which("pkg-config", path=path)
    if not found or subprocess.run([found, "--exists", "dbus-1"], env=dict(environment), check=False).returncode:
        return (
            "nixpkgs' own switch-to-configuration is linked with libdbus, whose headers are not here. "
            "Fix: apt install pkg-config libdbus-1-dev"
        )
    return ""


def built(base: Base) -> str:
    """SRI hash of the program's path in the operator's store; two to seven minutes the first time, nothing afterwards.

    Raises:
        AssertionError: with what cargo said last.
    """
    source = Path(os.environ["NIXTREES"]) / PACKAGE
    place = CACHE / f"{NAME}-{_hash(source)}-{base.root.name[-6:]}"
    # A path of the store is called as what is added, and systems are made of it by its name.
    program = place / NAME
    # Who waits for a disk does not wait for this.
    with alone(f"{NAME}.lock"):
        if not (place / "hash").exists():
            shutil.rmtree(place, ignore_errors=True)
            with tempfile.TemporaryDirectory() as work, _told(f"building nixpkgs' {NAME}"):
                _build(source, Path(work), base)
                program.mkdir(parents=True)
                shutil.copy(Path(work) / "target/release" / NAME, program)
        nix("store", "add", "--name", NAME, str(program))
        if not (place / "hash").exists():
            (place / "hash").write_text(nix("hash", "path", "--sri", str(program)))
    return (place / "hash").read_text()


def _build(source: Path, work: Path, base: Base) -> None:
    # cargo writes into the folder that it builds.
    shutil.copytree(source, work / "source", copy_function=shutil.copyfile)
    interfaces = work / "interfaces"
    interfaces.mkdir()
    for interface, (program, path) in _INTERFACES.items():
        (interfaces / f"{interface}.xml").write_text(_described(base, program, path, interface))
    where = {"SYSTEMD_DBUS_INTERFACE_DIR": str(interfaces), "CARGO_TARGET_DIR": str(work / "target")}
    command = ["cargo", "build", "--release", "--locked", "--quiet"]
    done = subprocess.run(command, cwd=work / "source", env={**os.environ, **where}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr[-4000:]}"


def _described(base: Base, program: str, path: str, interface: str) -> str:
    """The D-Bus description of INTERFACE, as systemd's build writes it: its programs tell it themselves."""
    command = ["chroot", str(base.root / "root"), f"/usr/lib/systemd/{program}", "--bus-introspect", path]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 0, f"{' '.join(command)}\n{told.stderr}"
    node = ElementTree.fromstring(told.stdout)
    for other in node.findall("interface"):
        if other.get("name") != interface:
            node.remove(other)
    return ElementTree.tostring(node, encoding="unicode")


def _hash(source: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(source.rglob("*")):
        if file.is_file():
            digest.update(str(file.relative_to(source)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@contextmanager
def _told(what: str, every: float = 5) -> Iterator[None]:
    """Says every few seconds on the terminal that WHAT goes on."""
    done, started = threading.Event(), time.monotonic()

    def tell() -> None:
        while not done.wait(every):
            print(f"  {what}: {time.monotonic() - started:.0f} s so far", flush=True)

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
