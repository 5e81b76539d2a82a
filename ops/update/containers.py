"""Container images that files name by tag and digest: what their registries have under the tags today."""

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from components.registry.lookup import Unreadable, crane
from inventory.files import write_whole
from ops.update.pins import Found, Newer

FOLDERS = ("nix", "ansible", "image", "home", "inventory")
_NAME = r"[a-z0-9.-]+(?::[0-9]+)?(?:/[a-z0-9._-]+)+"
_PIN = re.compile(rf"(?P<image>{_NAME}):(?P<tag>[\w.-]+)@(?P<digest>sha256:[0-9a-f]{{64}})")
# BlueBuild's recipes say the base's name and its version in two lines.
_BASE = re.compile(rf"^base-image: *(?P<image>{_NAME})$", re.MULTILINE)
_VERSION = re.compile(r"^image-version: *(?P<tag>[\w.-]+)@(?P<digest>sha256:[0-9a-f]{64})$", re.MULTILINE)
# Universal Blue builds its kernel modules for one kernel, which the tag names: main-44-7.0.14-201.fc44.x86_64.
_MODULES = re.compile(r"^(?P<stream>[a-z]+-\d+)-(?P<kernel>\d.*)$")
KERNEL = "ostree.linux"
"""Label of an image with a kernel: its release."""


@dataclass(frozen=True)
class _Pin:
    image: str
    tag: str
    digest: str
    text: str
    """As it stands in the file."""

    @property
    def of_a_kernel(self) -> bool:
        return "akmods" in self.image and _MODULES.match(self.tag) is not None


def container_images(repository: Path, *, write: bool) -> Found:
    """The digest of each image that a tracked file below FOLDERS names by tag and digest."""
    found = Found()
    # What stands in one folder belongs together: two recipes have the same base, and modules for its kernel.
    for folder, files in groupby(_files(repository), key=lambda path: path.parent):
        pins = {path: list(_pins(path.read_text())) for path in files}
        try:
            newer = _newer(list(dict.fromkeys(pin for found in pins.values() for pin in found)))
        except Unreadable as error:
            found.left.append(f"`{folder.relative_to(repository)}`: {error}")
            continue
        for path, own in pins.items():
            text = path.read_text()
            for pin in own:
                tag, digest = newer[pin]
                if (tag, digest) == (pin.tag, pin.digest):
                    continue
                to = digest[7:19] if tag == pin.tag else f"{tag} {digest[7:19]}"
                found.newer.append(Newer(f"{pin.image}:{pin.tag}", pin.digest[7:19], to, str(path.relative_to(repository))))
                text = text.replace(pin.text, pin.text.replace(pin.tag, tag).replace(pin.digest, digest))
            if write and text != path.read_text():
                write_whole(path, text)
    return found


def _newer(pins: list[_Pin]) -> dict[_Pin, tuple[str, str]]:
    """Tag and digest of each of PINS today; all of them or none.

    Raises:
        Unreadable
    """
    newer = {pin: (pin.tag, _digest(f"{pin.image}:{pin.tag}")) for pin in pins if not pin.of_a_kernel}
    kernels = {kernel for pin, (_, digest) in newer.items() if (kernel := _kernel(f"{pin.image}@{digest}"))}
    for pin in pins:
        if not pin.of_a_kernel:
            continue
        if len(kernels) != 1:
            raise Unreadable(f"{pin.image} is for one kernel, and its base says {', '.join(kernels) or 'none'} (label {KERNEL})")
        stream = _MODULES.match(pin.tag)
        assert stream is not None
        tag = f"{stream['stream']}-{next(iter(kernels))}"
        newer[pin] = (tag, _digest(f"{pin.image}:{tag}"))
    return newer


def _pins(text: str) -> Iterator[_Pin]:
    for match in _PIN.finditer(text):
        yield _Pin(match["image"], match["tag"], match["digest"], match[0])
    base, version = _BASE.search(text), _VERSION.search(text)
    if base and version:
        yield _Pin(base["image"], version["tag"], version["digest"], version[0])


def _files(repository: Path) -> Iterator[Path]:
    """Tracked text files: what a build or a deployment left beside them is nobody's pin."""
    listed = subprocess.run(["git", "ls-files", "-z", *FOLDERS], cwd=repository, capture_output=True, check=True)
    for name in sorted(filter(None, listed.stdout.decode().split("\0"))):
        path = repository / name
        if path.is_file() and not path.is_symlink() and b"@sha256:" in path.read_bytes():
            yield path


def _digest(reference: str) -> str:
    return crane("digest", reference, reference)


def _kernel(reference: str) -> str:
    labels = (json.loads(crane("config", reference, reference)).get("config") or {}).get("Labels") or {}
    return str(labels.get(KERNEL, ""))
