"""The lower layers of a host's root: one a flavour, made from the machine's /usr and the simulator's fakes.

Of the machine, a host sees /usr (read-only, below its own layer) and a few files of /etc that programs in /usr need
(loader cache, alternatives, certificates). Nothing else: no /home, no /root, no checkout, no /var, no /run.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aether_sim.fakes import catalogue
from aether_sim.fakes.catalogue import words

# What programs under /usr look for in /etc, besides the account files made here.
_ETC_COPIED = words(
    "alternatives ld.so.cache ld.so.conf ld.so.conf.d ssl ca-certificates ca-certificates.conf pki "
    "crypto-policies services protocols login.defs terminfo python3 python3.11 perl mime.types localtime "
    "profile.d inputrc skel host.conf gai.conf pam.d security java-17-openjdk magic magic.mime"
)
_DIRECTORIES = words(
    "boot dev etc/ssh home mnt opt proc root run srv sys tmp usr var/lib/aether-sim var/log var/tmp var/cache "
    "var/spool var/lib/private"
)
# Hosts boot in parallel and share layers: each is made once.
_MAKING = threading.Lock()
_MADE: dict[tuple[str, str, tuple[str, ...]], Base] = {}
LIBRARY = "usr/lib/aether-sim"
INIT = "/usr/lib/aether-sim/systemd"
OPENRC_INIT = "/usr/lib/aether-sim/init"


@dataclass(frozen=True)
class Base:
    """The lower layers of a flavour, as overlay takes them (leftmost is on top)."""

    root: tuple[str, ...]
    usr: tuple[str, ...]
    binds: tuple[tuple[str, str], ...]
    python: str
    init: str


def machine_python() -> tuple[str, tuple[tuple[str, str], ...]]:
    """An interpreter for fakes, as a host sees it, and what must be bound into the host for it."""
    system = Path("/usr/bin/python3")
    if system.exists():
        return str(system), ()
    prefix = sys.base_prefix
    if prefix == "/usr" or prefix.startswith("/usr/"):
        return str(Path(prefix, "bin", "python3")), ()
    return f"/opt/aether-sim-python/bin/python3.{sys.version_info.minor}", ((prefix, "/opt/aether-sim-python"),)


def prepare(directory: Path, flavour: str, users: Sequence[str]) -> Base:
    """Make the layers of a flavour below `directory`, or find those made before from the same sources."""
    key = (str(directory), flavour, tuple(sorted(users)))
    with _MAKING:
        if key not in _MADE:
            _MADE[key] = _prepare(directory, flavour, users)
        return _MADE[key]


def _prepare(directory: Path, flavour: str, users: Sequence[str]) -> Base:
    python, binds = machine_python()
    catalog = catalogue.of(flavour)
    digest = hashlib.sha256()
    digest.update(repr((flavour, sorted(users), python, catalog.fingerprint())).encode())
    digest.update(Path(__file__).read_bytes())
    target = directory / f"{flavour}-{digest.hexdigest()[:12]}"
    if not target.exists():
        part = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.rmtree(part, ignore_errors=True)
        _make_root(part / "root", flavour, users)
        _make_usr(part / "usr", catalog, python)
        for path, text in catalog.files().items():
            _write(part / "root" / path.lstrip("/"), text)
        for path, link in catalog.links().items():
            place = part / "root" / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(link)
        part.rename(target)
    init = OPENRC_INIT if flavour == "alpine" else INIT
    return Base((str(target / "root"),), (str(target / "usr"), "/usr"), binds, python, init)


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def _make_root(root: Path, flavour: str, users: Sequence[str]) -> None:
    for name in _DIRECTORIES:
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "root").chmod(0o700)
    (root / "var/tmp").chmod(0o1777)
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        machine = Path("/", name)
        if machine.is_symlink():
            (root / name).symlink_to(machine.readlink())
    (root / "var/run").symlink_to("/run")
    (root / "var/lock").symlink_to("/run/lock")
    for name in _ETC_COPIED:
        source, target = Path("/etc", name), root / "etc" / name
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, ignore=_private)
        elif source.exists() and os.access(source, os.R_OK):
            shutil.copy2(source, target)
    _accounts(root, users)
    _write(root / "etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files\n")
    _write(root / "etc/resolv.conf", "# The simulated datacentre resolves names by /etc/hosts.\n")
    _write(root / "etc/fstab", "")
    _write(root / "etc/shells", "/bin/sh\n/bin/bash\n/usr/bin/bash\n")
    _write(root / "etc/profile", _profile(flavour))
    if flavour == "vyos":
        # Group vyattacfg of the real one: whoever may configure writes here.
        (root / "opt/vyatta/etc/config").mkdir(parents=True)
        (root / "opt/vyatta/etc/config").chmod(0o1777)
    (root / "etc/mtab").symlink_to("/proc/self/mounts")


def _private(directory: str, names: list[str]) -> list[str]:
    """What is not copied: private keys, and what this user may not read."""
    return [
        name
        for name in names
        if name == "private" or not (Path(directory, name).is_symlink() or os.access(Path(directory, name), os.R_OK))
    ]


def _profile(flavour: str) -> str:
    path = catalogue.search_path(flavour)
    return f'export PATH={path}\nfor file in /etc/profile.d/*.sh; do [ -r "$file" ] && . "$file"; done\nunset file\n'


def _accounts(root: Path, users: Sequence[str]) -> None:
    """The machine's system accounts (packages own files by them), and the host's people; nobody has a password."""
    passwd = [line for line in Path("/etc/passwd").read_text().splitlines() if _is_system(line)]
    group = [line for line in Path("/etc/group").read_text().splitlines() if _is_system(line)]
    passwd = [line for line in passwd if not line.startswith("root:")]
    passwd.insert(0, "root:x:0:0:System administrator:/root:/bin/bash")
    taken = {line.split(":")[0] for line in passwd}
    for number, name in enumerate((user for user in users if user not in taken), 1000):
        shell = "/usr/lib/aether-sim/vbash.py" if name == "vyos" else "/bin/bash"
        passwd.append(f"{name}:x:{number}:{number}:{name}:/home/{name}:{shell}")
        group.append(f"{name}:x:{number}:")
        home = root / "home" / name
        home.mkdir(parents=True)
        os.chown(home, number, number)
        home.chmod(0o700)
    for wanted in ("wheel", "sudo"):
        if not any(line.startswith(f"{wanted}:") for line in group):
            group.append(f"{wanted}:x:{970 + len(wanted)}:")
    _write(root / "etc/passwd", "\n".join(passwd) + "\n")
    _write(root / "etc/group", "\n".join(group) + "\n")
    _write(root / "etc/shadow", "".join(f"{line.split(':')[0]}:*:20000::::::\n" for line in passwd), 0o600)


def _is_system(line: str) -> bool:
    fields = line.split(":")
    return len(fields) > 2 and fields[2].isdigit() and (int(fields[2]) < 1000 or fields[0] in ("nobody", "nogroup"))


def _make_usr(usr: Path, catalog: catalogue.Catalogue, python: str) -> None:
    library = usr / "lib" / "aether-sim"
    library.mkdir(parents=True)
    for source in catalog.sources():
        text = source.read_text()
        if text.startswith("#!/usr/bin/env python3"):
            text = (
                f"#!{python} -ESs"
                + text.partition("\n")[0].removeprefix("#!/usr/bin/env python3")
                + ("\n" + text.partition("\n")[2])
            )
        _write(library / source.name, text, 0o755)
    for name in catalog.hidden():
        # A whiteout: the machine's own command of that name is not the host's.
        place = usr / "bin" / name
        if Path("/usr/bin", name).exists() and not place.is_symlink():
            place.parent.mkdir(parents=True, exist_ok=True)
            os.mknod(place, stat.S_IFCHR, os.makedev(0, 0))
    sleep = Path("/usr/bin/sleep").resolve()
    for name in ("systemd", "init"):
        (library / name).symlink_to(sleep)
    for path, script in catalog.commands().items():
        place = usr / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(f"/{LIBRARY}/{script}")
    # NixOS and Fedora have one folder of programs.
    (usr / "bin/runuser").symlink_to("../sbin/runuser")
    units = usr / "lib/systemd/system"
    units.mkdir(parents=True, exist_ok=True)
    _hide_lower(units)
    for name, text in catalog.units().items():
        _write(units / name, text)


def _hide_lower(directory: Path) -> None:
    """Mark a directory opaque: the machine's own units are not the host's."""
    try:
        os.setxattr(directory, "trusted.overlay.opaque", b"y")
    except OSError as error:
        raise RuntimeError(f"{directory}: the file system takes no overlay attributes: {error}") from error
