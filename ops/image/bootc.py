"""Media and disks of Fedora Atomic hosts by bootc-image-builder: its configuration, and the podman command."""

import json
import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inventory.files import REPOSITORY
from inventory.load import load_all
from inventory.models import AtomicHost, Site
from ops.image.child import Say, run
from ops.image.copying import GIB
from ops.stack import OpsError

BUILDER = "quay.io/centos-bootc/bootc-image-builder:latest"
# By our format: the builder's type, and where its result is below its output folder.
TYPES = {"iso": ("anaconda-iso", "bootiso/install.iso"), "qcow": ("qcow2", "qcow2/disk.qcow2")}
# A desktop with its deployments: the one that runs, the one before, and one that is staged.
ROOT_GIB = 60
# Anaconda's module for `lang`, which the builder leaves out by itself.
LOCALIZATION = "org.fedoraproject.Anaconda.Modules.Localization"


@dataclass(frozen=True)
class Atomic:
    """A Fedora Atomic host of the inventory, and the site that it is of."""

    name: str
    facts: AtomicHost
    site: Site

    @property
    def reference(self) -> str:
        """The image that is installed: pinned where the inventory pins it."""
        facts = self.facts
        return f"{facts.image}@{facts.digest}" if facts.digest else f"{facts.image}:{facts.tag or 'latest'}"


def atomic(name: str) -> Atomic | None:
    """The Atomic host of that name; None where it is of another kind, or none."""
    for inventory in load_all(sorted((REPOSITORY / "inventory").glob("*.toml"))):
        facts = inventory.hosts.get(name)
        if isinstance(facts, AtomicHost):
            return Atomic(name, facts, inventory.site)
    return None


def configuration(host: Atomic, kind: str) -> dict[str, Any]:
    """What bootc-image-builder is given as config.json: its blueprint, with nothing that it does not know."""
    if kind == "iso":
        # The builder takes either a kickstart, or users: not both.
        installer = {"kickstart": {"contents": kickstart(host)}, "modules": {"enable": [LOCALIZATION]}}
        return {"customizations": {"installer": installer}}
    user = {"name": host.site.user, "groups": ["wheel"], "key": "\n".join(host.site.authorized_keys)}
    return {"customizations": {"user": [user], "filesystem": [{"mountpoint": "/", "minsize": ROOT_GIB * GIB}]}}


def kickstart(host: Atomic) -> str:
    """Answers of the installer. What is not answered it asks: on which disk, the disk's passphrase, and root's password."""
    site = host.site
    lines = [
        f"# {host.name} of {site.domain}: made from the inventory. The disk is chosen by whoever sits there.",
        "lang en_US.UTF-8",
        f"timezone {site.timezone} --utc",
        f"network --bootproto=dhcp --activate --hostname={host.name}.{site.domain}",
        f"user --name={site.user} --groups=wheel",
        *(f'sshkey --username={site.user} "{key}"' for key in site.authorized_keys),
        "reboot",
    ]
    return "\n".join(lines) + "\n"


def command(host: Atomic, kind: str, folder: Path) -> list[str]:
    """The podman command that builds into FOLDER, which holds config.json; it wants root, as the builder mounts file systems."""
    volumes = {
        folder / "config.json": "/config.json:ro",
        folder: "/output",
        # Where the image is pulled to.
        Path("/var/lib/containers/storage"): "/var/lib/containers/storage",
    }
    return [
        *("podman", "run", "--rm", "--privileged", "--pull=newer", "--security-opt=label=type:unconfined_t"),
        *(f"--volume={outside}:{inside}" for outside, inside in volumes.items()),
        BUILDER,
        # Fedora's images name no file system of their own; Kinoite's is btrfs.
        *(f"--type={TYPES[kind][0]}", "--rootfs=btrfs", host.reference),
    ]


def build(host: Atomic, kind: str, dist: Path, say: Say, *, go: bool = True) -> int:
    """Write the configuration, and build where podman is and may; else say what to run. The exit code.

    Raises:
        OpsError: the format is none of an Atomic host, or the builder left no result.
    """
    if kind not in TYPES:
        raise OpsError(f"{host.name} is a Fedora Atomic host: it has no {kind}. Fix: one of {', '.join(TYPES)}")
    work, result = dist / "bootc" / f"{host.name}-{kind}", dist / "2_raw" / f"{host.name}.{'iso' if kind == 'iso' else 'qcow2'}"
    work.mkdir(parents=True, exist_ok=True)
    (work / "config.json").write_text(json.dumps(configuration(host, kind), indent=1) + "\n")
    say(f"Configuration: {work / 'config.json'}")
    pull, make = ["podman", "pull", host.reference], command(host, kind, work)
    why = None if go else "not asked to"
    if go and shutil.which("podman") is None:
        why = "podman is not here"
    elif go and os.geteuid() != 0:
        why = "the builder mounts file systems, which takes root"
    if why:
        say(f"Not built: {why}. As root, on a machine with podman and this folder:")
        for step in (pull, make, ["mv", str(work / TYPES[kind][1]), str(result)]):
            say(f"  {shlex.join(step)}")
        return 0
    for step in (pull, make):
        say(shlex.join(step))
        code, interrupted = run(step, REPOSITORY, say, ends="The builder ends.")
        if code or interrupted:
            raise OpsError(f"{step[0]} {step[1]} ended with {code}. Fix what it says, and run the same command again")
    made = work / TYPES[kind][1]
    if not made.exists():
        raise OpsError(f"bootc-image-builder left no {made}. Look: ls -R {work}")
    result.parent.mkdir(parents=True, exist_ok=True)
    made.replace(result)
    say(f"Done: {result}")
    return 0
