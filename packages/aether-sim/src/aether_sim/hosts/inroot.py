"""Files of a host, touched by the supervisor without ever following a link out of the host's root.

`openat2(2)` with RESOLVE_IN_ROOT: an absolute symbolic link made in a host resolves inside that host.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_SYS_OPENAT2 = 437
_RESOLVE_IN_ROOT = 0x10
_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class HostRoot:
    """The root directory of a host, by a descriptor; valid while the descriptor is open."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def of_process(cls, pid: int) -> HostRoot:
        """The root of a process: of process 1 of a host."""
        return cls(os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY))

    def close(self) -> None:
        """Let go of the root."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def open(self, path: str, flags: int, mode: int = 0) -> int:
        """A descriptor of a path inside the root. Raises OSError."""
        how = _OpenHow(flags | os.O_CLOEXEC, mode if flags & os.O_CREAT else 0, _RESOLVE_IN_ROOT)
        result = _libc.syscall(
            _SYS_OPENAT2,
            self.descriptor,
            path.lstrip("/").encode() or b".",
            ctypes.byref(how),
            ctypes.sizeof(how),
        )
        if result < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), path)
        return int(result)

    def read(self, path: str) -> bytes:
        """Content of a file."""
        with os.fdopen(self.open(path, os.O_RDONLY), "rb") as handle:
            return handle.read()

    def read_text(self, path: str, default: str | None = None) -> str:
        """Content of a text file, or the default where there is none."""
        try:
            return self.read(path).decode(errors="replace")
        except OSError:
            if default is None:
                raise
            return default

    def exists(self, path: str) -> bool:
        """Whether the path resolves to something inside the root."""
        try:
            os.close(self.open(path, os.O_PATH))
        except OSError:
            return False
        return True

    def is_dir(self, path: str) -> bool:
        """Whether the path resolves to a directory inside the root."""
        try:
            descriptor = self.open(path, os.O_PATH)
        except OSError:
            return False
        try:
            return stat.S_ISDIR(os.fstat(descriptor).st_mode)
        finally:
            os.close(descriptor)

    def listdir(self, path: str) -> list[str]:
        """Sorted names in a directory; none where it does not exist."""
        try:
            with self.directory(path) as descriptor:
                return sorted(os.listdir(descriptor))
        except OSError:
            return []

    @contextmanager
    def directory(self, path: str) -> Iterator[int]:
        """A descriptor of a directory, for the *at functions."""
        descriptor = self.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def makedirs(self, path: str, mode: int = 0o755) -> None:
        """Make a directory and those above it."""
        done = ""
        for part in path.strip("/").split("/"):
            parent, done = done or "/", f"{done}/{part}"
            if not self.exists(done):
                with self.directory(parent) as descriptor:
                    os.mkdir(part, mode, dir_fd=descriptor)

    def write(self, path: str, data: bytes | str, mode: int = 0o644) -> None:
        """Replace a file's content, atomically; the directory above is made when missing."""
        parent, _, name = path.rstrip("/").rpartition("/")
        if parent:
            self.makedirs(parent)
        part = f".{name}.sim"
        with self.directory(parent or "/") as directory:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode, dir_fd=directory)
            with os.fdopen(descriptor, "wb") as handle:
                os.fchmod(handle.fileno(), mode)
                handle.write(data.encode() if isinstance(data, str) else data)
            os.replace(part, name, src_dir_fd=directory, dst_dir_fd=directory)

    def symlink(self, target: str, path: str) -> None:
        """Make or replace a symbolic link."""
        parent, _, name = path.rstrip("/").rpartition("/")
        self.makedirs(parent)
        with self.directory(parent) as directory:
            part = f".{name}.sim"
            with suppress(FileNotFoundError):
                os.unlink(part, dir_fd=directory)
            os.symlink(target, part, dir_fd=directory)
            os.replace(part, name, src_dir_fd=directory, dst_dir_fd=directory)

    def readlink(self, path: str) -> str | None:
        """Target of a symbolic link, as written; None where there is no link."""
        parent, _, name = path.rstrip("/").rpartition("/")
        try:
            with self.directory(parent or "/") as directory:
                return os.readlink(name, dir_fd=directory)
        except OSError:
            return None

    def unlink(self, path: str) -> None:
        """Remove a file or link, if it is there."""
        parent, _, name = path.rstrip("/").rpartition("/")
        try:
            with self.directory(parent or "/") as directory:
                os.unlink(name, dir_fd=directory)
        except FileNotFoundError:
            pass

    def chown(self, path: str, uid: int, gid: int) -> None:
        """Give a file to a user."""
        parent, _, name = path.rstrip("/").rpartition("/")
        with self.directory(parent or "/") as directory:
            os.chown(name, uid, gid, dir_fd=directory, follow_symlinks=False)
