"""Small real images, and their signatures, made with crane and cosign."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aether_sim.paths import write_atomic


class ImageError(Exception):
    """crane or cosign said no; the message is theirs."""


@dataclass(frozen=True)
class Signer:
    """A cosign key pair in DIRECTORY: ``cosign.key``, ``cosign.pub`` and ``password``."""

    directory: Path
    tools: Path
    login: Path | None = None
    """Folder of a docker config.json with a login at the registry."""

    @property
    def public(self) -> Path:
        return self.directory / "cosign.pub"

    @property
    def private(self) -> Path:
        return self.directory / "cosign.key"

    @property
    def password(self) -> str:
        return (self.directory / "password").read_text()

    def ensure(self) -> None:
        """Make the pair unless it is there. Raises ImageError."""
        if self.public.exists() and self.private.exists():
            return
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomic(self.directory / "password", secrets.token_urlsafe(24).encode())
        self.private.unlink(missing_ok=True)
        self.public.unlink(missing_ok=True)
        run(self.tools / "cosign", "generate-key-pair", cwd=self.directory, COSIGN_PASSWORD=self.password)

    def sign(self, reference: str) -> None:
        """Sign REFERENCE (by digest), in the form that rpm-ostree and bootc see. Raises ImageError."""
        run(
            self.tools / "cosign",
            "sign",
            "--yes",
            "--new-bundle-format=false",
            "--use-signing-config=false",
            "--tlog-upload=false",
            "--key",
            str(self.private),
            reference,
            cwd=self.directory,
            COSIGN_PASSWORD=self.password,
            **_config(self.login),
        )


def push(tools: Path, reference: str, content: str, login: Path | None = None) -> str:
    """Push an image of one layer that says CONTENT; returns its digest. LOGIN is as the signer's. Raises ImageError.

    The same content is the same digest.
    """
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        for path, text in (
            ("usr/lib/os-release", 'ID=fedora\nVARIANT_ID=kinoite\nVERSION_ID="44"\n'),
            ("usr/share/aether/image", content),
        ):
            entry = tarfile.TarInfo(path)
            data = text.encode()
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))
    with memory_file(layer.getvalue()) as file:
        run(
            tools / "crane", "append", "--oci-empty-base", "--new_layer", file, "--new_tag", reference, cwd=None, **_config(login)
        )
    return run(tools / "crane", "digest", reference, cwd=None, **_config(login)).strip()


def _config(login: Path | None) -> dict[str, str]:
    return {"DOCKER_CONFIG": str(login)} if login else {}


def borrow_signature(tools: Path, image: str, signed: str, other: str) -> None:
    """Attach what signs digest SIGNED of IMAGE to digest OTHER, where cosign looks for it. Raises ImageError."""
    source, target = (f"{image}:{digest.replace(':', '-')}.sig" for digest in (signed, other))
    run(tools / "crane", "copy", source, target)


@contextlib.contextmanager
def memory_file(data: bytes) -> Iterator[str]:
    """The path of a file with these bytes, gone after the block."""
    descriptor = os.memfd_create("layer")
    try:
        os.write(descriptor, data)
        yield f"/proc/{os.getpid()}/fd/{descriptor}"
    finally:
        os.close(descriptor)


def run(tool: Path, *arguments: str, cwd: Path | None = None, **environment: str) -> str:
    """Output of a tool. Raises ImageError with the last line it wrote."""
    own = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(cwd or "/nonexistent"), **environment}
    done = subprocess.run([str(tool), *arguments], capture_output=True, text=True, env=own, cwd=cwd, check=False, timeout=120)
    if done.returncode:
        raise ImageError(f"{tool.name} {arguments[0]}: {(done.stderr.strip() or done.stdout.strip())[-400:]}")
    return done.stdout
