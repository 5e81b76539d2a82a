"""A machine that ostree deploys: its disk is a folder, its boots are containers with a real systemd.

ostree is Debian's, and does what it does on Fedora: ``ostree admin deploy``, the staged deployment that is finalized at
shutdown, ``ostree-prepare-root`` (which the initramfs runs), the generator that mounts /var. The system is a root of Debian's
programs with the image's ``files/system`` in it; its first boot is as bare as that of a machine. Everything is in memory and in
namespaces of its own: nothing is left when the machine is. Needs root, for the namespaces.
"""

import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.nspawn import Ground, end, entering, leader

HERE = Path(__file__).resolve().parent
IMAGE = HERE.parents[1] / "image"
OS = "fedora"
"""What Fedora's installer calls the system's own folder (stateroot)."""
# Of Debian's root: nobody logs in, and what a container has no use for.
_UNWANTED = (
    "systemd-logind.service",
    "console-getty.service",
    "systemd-networkd.service",
    "systemd-networkd.socket",
    "systemd-network-generator.service",
    "systemd-networkd-wait-online.service",
    "ldconfig.service",
)
_USERS = {"root": 0, "messagebus": 101, "nobody": 65534}
_GROUPS = {"root": 0, "messagebus": 101, "nix-users": 990, "nixbld": 991, "nogroup": 65534}


def programs() -> Path:
    """Where Debian's programs are, or would be (``root/`` and ``run``)."""
    cache = Path(os.environ.get("AETHER_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aether")
    return cache / "checkers/atomic"


def may() -> str | None:
    """Why no machine can be made here; None where one can."""
    if os.geteuid() != 0:
        return "containers need root"
    if not (programs() / "run").exists():
        return "nix/tools/get-checkers.sh --atomic has not been run"
    return None


def enabled() -> list[str]:
    """The system units that the recipes enable."""
    module = yaml.safe_load((IMAGE / "recipes/common/services.yml").read_text())["modules"][0]
    return list(module["system"]["enabled"])


@dataclass(frozen=True)
class Entry:
    """One entry of the boot loader's menu."""

    title: str
    options: str
    """The kernel's command line."""


class Machine:
    """One machine; boots are its ``boot()`` and end with ``shutdown()``."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self._ground = Ground("kinoite")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Machine":
        self._ground.__enter__()
        self.outside("mount", "-t", "tmpfs", "none", str(self.work))
        self.outside("mkdir", str(self.disk))
        for line in (("admin", "init-fs", str(self.disk)), ("admin", "os-init", OS, f"--sysroot={self.disk}")):
            self.ostree(*line)
        # As Fedora's installer leaves it. In memory nothing has to be written through.
        for key, value in (("sysroot.readonly", "true"), ("sysroot.bootloader", "none"), ("core.fsync", "false")):
            self.ostree("config", f"--repo={self.disk}/ostree/repo", "set", key, value)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            end(self._process)
        self._ground.__exit__()

    @property
    def disk(self) -> Path:
        """The root file system, as programs in the machine's namespaces name it."""
        return self.work / "sysroot"

    def there(self, path: str) -> Path:
        """A file of the disk, from here; PATH begins with /."""
        return self.from_here(f"{self.disk}{path}")

    def from_here(self, path: str) -> Path:
        """PATH of the machine's namespaces, from here."""
        return self._ground.mounted / path.lstrip("/")

    def outside(self, *command: str) -> str:
        """Standard output of a command in the machine's namespaces, but in no boot of it."""
        done = subprocess.run(
            [*self._ground.inside, *command],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def ostree(self, *arguments: str) -> str:
        return self.outside(str(programs() / "run"), "usr/bin/ostree", *arguments)

    def build(self, image: str, packages: Callable[[Path], None] | None = None) -> None:
        """Commits the system as IMAGE: Debian's root, what PACKAGES adds to that tree, the image's files and enabled units."""
        name = f"{self.work}/tree"
        tree = self.from_here(name)
        self.outside("cp", "-a", f"{programs()}/root", name)
        for folder in ("var", "home", "root", "boot", "tmp"):
            shutil.rmtree(tree / folder, ignore_errors=True)
        for folder in ("var", "boot", "tmp", "sysroot", "usr/lib/modules/6.0"):
            (tree / folder).mkdir(parents=True)
        (tree / "tmp").chmod(0o1777)
        for link, target in {
            "home": "var/home",
            "root": "var/roothome",
            "ostree": "sysroot/ostree",
            "usr/bin/sh": "bash",
            "usr/bin/awk": "gawk",
        }.items():
            (tree / link).symlink_to(target)
        for file in ("vmlinuz", "initramfs.img"):
            (tree / "usr/lib/modules/6.0" / file).write_text("The container has the machine's own.\n")
        users = "".join(f"{user}:x:{number}:{number}::/:/bin/bash\n" for user, number in _USERS.items())
        (tree / "etc/passwd").write_text(users)
        (tree / "etc/group").write_text("".join(f"{group}:x:{number}:\n" for group, number in _GROUPS.items()))
        (tree / "etc/machine-id").write_text("")
        # As an installer writes it: what needs /boot is stopped before it is unmounted.
        (tree / "etc/fstab").write_text("/sysroot/boot /boot none bind 0 0\n")
        if packages is not None:
            packages(tree)
        self._add_image(name, tree)
        for unit in _UNWANTED:
            (tree / "etc/systemd/system" / unit).symlink_to("/dev/null")
        (tree / "etc").rename(tree / "usr/etc")
        self.ostree("commit", f"--repo={self.disk}/ostree/repo", f"--branch={image}", "--consume", f"--tree=dir={name}")

    def _add_image(self, name: str, tree: Path) -> None:
        """What the recipes add that is not a package."""
        self.outside("cp", "-r", "--dereference", f"{IMAGE}/files/system/.", name)
        for script in tree.glob("usr/libexec/aether/*"):
            script.chmod(0o755)
        # A script of the recipe, as it is while the image is built.
        mount_point = (IMAGE / "files/scripts/nix-mount-point.sh").read_text()
        self.outside("chroot", name, "/usr/bin/bash", "-c", mount_point)
        # Of the recipes' units those that this system has: its own, and what Debian's packages bring.
        for unit in enabled():
            if (tree / "usr/lib/systemd/system" / unit).exists():
                self.outside("systemctl", f"--root={name}", "enable", unit)

    def derive(self, image: str, base: str, files: dict[str, str]) -> None:
        """Commits IMAGE: as BASE, with FILES (by their path below /, which is /usr in an image) added."""
        layer = self.from_here(f"{self.work}/layer")
        for path, text in files.items():
            file = layer / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        trees = (f"--tree=ref={base}", f"--tree=dir={self.work}/layer")
        self.ostree("commit", f"--repo={self.disk}/ostree/repo", f"--branch={image}", *trees)
        shutil.rmtree(layer)

    def without(self, image: str, base: str, *paths: str) -> None:
        """Commits IMAGE: as BASE, without PATHS (files or folders below /, where /etc is /usr/etc)."""
        folder = f"{self.work}/checkout"
        self.ostree("checkout", f"--repo={self.disk}/ostree/repo", base, folder)
        self.outside("rm", "-r", *(f"{folder}/{path}" for path in paths))
        self.ostree("commit", f"--repo={self.disk}/ostree/repo", f"--branch={image}", "--consume", f"--tree=dir={folder}")

    def commit(self, image: str) -> str:
        """The checksum of IMAGE."""
        return self.ostree("rev-parse", f"--repo={self.disk}/ostree/repo", image).strip()

    def install(self, image: str) -> None:
        """Deploys IMAGE, as an installer does."""
        arguments = ("--karg=root=/dev/vda3", "--karg=rw", image)
        self.ostree("admin", "deploy", f"--sysroot={self.disk}", f"--os={OS}", *arguments)

    def menu(self) -> list[Entry]:
        """The boot loader's entries in its order: the newest first."""
        found = []
        for file in self.there("/boot/loader/entries").iterdir():
            values = dict(line.split(" ", 1) for line in file.read_text().splitlines() if " " in line)
            found.append((int(values["version"]), Entry(values["title"], values["options"])))
        return [entry for _, entry in sorted(found, key=lambda pair: pair[0], reverse=True)]

    def boot(self, entry: int = 0, wait: bool = True) -> None:
        """Boots an entry of the menu; with WAIT returns when its services begin to start."""
        options = self.menu()[entry].options.split()
        log = (self.work.parent / "console.log").open("wb")
        self._process = subprocess.Popen(
            [
                *(*self._ground.inside, "unshare", "--mount", str(HERE / "boot.sh")),
                str(programs()),
                str(self.work),
                *options,
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        if wait:
            self.eventually(lambda: self.active("basic.target") == "active", "boots")

    @property
    def on(self) -> bool:
        """Whether it was booted, and not shut down since."""
        return self._process is not None

    def shutdown(self) -> None:
        """Shuts down in order, and waits for its end."""
        self.run("systemctl", "poweroff", check=False)
        self.ended()

    def ended(self) -> None:
        """Waits for the end of a boot that ends by itself."""
        assert self._process is not None
        self._process.wait(60)
        self._process = None

    def reboot(self) -> None:
        """The same entry of the menu may be another deployment afterwards."""
        self.shutdown()
        self.boot()

    def run(self, *command: str, check: bool = True, feed: bytes = b"") -> str:
        """Standard output of a command in the running system, which is given FEED; with CHECK it has to end well."""
        assert self._process is not None
        first = leader(self._process.pid)
        if first is None:
            assert not check, f"the system does not run\n{self._console()}"
            return ""
        done = subprocess.run(
            [*entering(first), "/usr/bin/env", "-i", "PATH=/usr/bin:/usr/sbin", "HOME=/var/roothome", *command],
            capture_output=True,
            input=feed,
            check=False,
            timeout=120,
        )
        said, wrong = done.stdout.decode(), done.stderr.decode()
        assert done.returncode == 0 or not check, f"{shlex.join(command)}\n{said}{wrong}"
        return said

    def deployments(self) -> list[tuple[str, str]]:
        """Deployments in boot order, by `ostree admin status` of the running system: what marks them (booted, staged, pending,
        rollback, pinned), and the image.
        """
        found: list[tuple[str, str]] = []
        for line in self.run("ostree", "admin", "status").splitlines():
            if start := re.match(rf"([ *]) {OS} [0-9a-f]+\.\d+(?: \((.+)\))?$", line):
                found.append(("booted" if start[1] == "*" else start[2] or "", ""))
            elif "Pinned: yes" in line:
                found[-1] = (f"{found[-1][0]} pinned".strip(), "")
            elif origin := re.search(r"origin refspec: (\S+)", line):
                found[-1] = (found[-1][0], origin[1])
        return found

    def active(self, unit: str) -> str:
        """active, activating, failed, …"""
        return self.run("systemctl", "is-active", unit, check=False).strip()

    def eventually(self, true: Callable[[], object], what: str, seconds: float = 60) -> None:
        """Waits for a condition; what does not come within SECONDS is a failure."""
        deadline = time.monotonic() + seconds
        while not true():
            assert self._process is None or self._process.poll() is None, f"it ended: {self._console()}"
            assert time.monotonic() < deadline, (
                f"it never {what}\n{self.run('journalctl', '--no-pager', '--lines=40', check=False)}"
            )
            time.sleep(0.1)

    def _console(self) -> str:
        return (self.work.parent / "console.log").read_text(errors="replace")[-3000:]
