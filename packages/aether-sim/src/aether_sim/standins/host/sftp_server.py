#!/usr/bin/env python3
# mypy: ignore-errors
"""The SFTP server of a simulated host, started by its SSH server as sftp-server(8) is: in the host, as the user.

Speaks SFTP version 3 (https://datatracker.ietf.org/doc/html/draft-ietf-secsh-filexfer-02) with OpenSSH's extensions
posix-rename, hardlink, fsync and statvfs (OpenSSH PROTOCOL, section 4). Writing fails with the fault disk-full.
"""

import errno
import os
import stat
import struct
import sys
import time

from simlib import faults

INIT, VERSION, OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT, SETSTAT, FSETSTAT = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
OPENDIR, READDIR, REMOVE, MKDIR, RMDIR, REALPATH, STAT, RENAME, READLINK, SYMLINK = range(11, 21)
STATUS, HANDLE, DATA, NAME, ATTRS, EXTENDED, EXTENDED_REPLY = 101, 102, 103, 104, 105, 200, 201
OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, BAD_MESSAGE, UNSUPPORTED = 0, 1, 2, 3, 4, 5, 8
MAX_PACKET = 1 << 20
EXTENSIONS = (
    (b"posix-rename@openssh.com", b"1"),
    (b"hardlink@openssh.com", b"1"),
    (b"fsync@openssh.com", b"1"),
    (b"statvfs@openssh.com", b"2"),
)


class Packet:
    """Takes a packet apart."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def u32(self):
        self.at += 4
        return struct.unpack_from(">I", self.data, self.at - 4)[0]

    def u64(self):
        self.at += 8
        return struct.unpack_from(">Q", self.data, self.at - 8)[0]

    def text(self):
        size = self.u32()
        self.at += size
        return self.data[self.at - size : self.at]

    def path(self):
        return self.text() or b"."

    def attributes(self):
        flags = self.u32()
        found = {}
        if flags & 1:
            found["size"] = self.u64()
        if flags & 2:
            found["owner"] = (self.u32(), self.u32())
        if flags & 4:
            found["mode"] = self.u32()
        if flags & 8:
            found["times"] = (self.u32(), self.u32())
        return found


def string(data):
    return struct.pack(">I", len(data)) + data


def attributes(info):
    return struct.pack(
        ">IQIIIII", 15, info.st_size, info.st_uid, info.st_gid, info.st_mode, int(info.st_atime), int(info.st_mtime)
    )


def longname(name, info):
    when = time.strftime("%b %d %H:%M", time.localtime(info.st_mtime))
    text = f"{stat.filemode(info.st_mode)} {info.st_nlink:>3} {info.st_uid:<8} {info.st_gid:<8} {info.st_size:>8} {when} "
    return text.encode() + name


def apply(target, wanted):
    """Set attributes on a path or a descriptor."""
    if "size" in wanted:
        os.truncate(target, wanted["size"])
    if "mode" in wanted:
        os.chmod(target, stat.S_IMODE(wanted["mode"]))
    if "times" in wanted:
        os.utime(target, wanted["times"])
    if "owner" in wanted:
        os.chown(target, *wanted["owner"])


class Server:
    """One session."""

    def __init__(self):
        self.files = {}
        self.directories = {}
        self.count = 0

    def handle(self, table, value):
        self.count += 1
        name = str(self.count).encode()
        table[name] = value
        return name

    def answer(self, kind, number, body):
        return bytes([kind]) + struct.pack(">I", number) + body

    def status(self, number, code, text=b""):
        return self.answer(STATUS, number, struct.pack(">I", code) + string(text) + string(b""))

    def failed(self, number, error):
        code = {errno.ENOENT: NO_SUCH_FILE, errno.EACCES: PERMISSION_DENIED, errno.EPERM: PERMISSION_DENIED}
        return self.status(number, code.get(error.errno, FAILURE), os.strerror(error.errno or errno.EIO).encode())

    def serve(self, kind, packet):
        if kind == INIT:
            body = struct.pack(">I", 3)
            for name, version in EXTENSIONS:
                body += string(name) + string(version)
            return bytes([VERSION]) + body
        number = packet.u32()
        try:
            method = METHODS.get(kind)
            if method is None:
                return self.status(number, UNSUPPORTED, b"unsupported")
            return method(self, number, packet)
        except OSError as error:
            return self.failed(number, error)
        except KeyError:
            return self.status(number, FAILURE, b"invalid handle")

    def open(self, number, packet):
        path, flags, wanted = packet.path(), packet.u32(), packet.attributes()
        mode = os.O_RDWR if flags & 3 == 3 else os.O_WRONLY if flags & 2 else os.O_RDONLY
        for bit, extra in ((4, os.O_APPEND), (8, os.O_CREAT), (16, os.O_TRUNC), (32, os.O_EXCL)):
            mode |= extra if flags & bit else 0
        descriptor = os.open(path, mode, stat.S_IMODE(wanted.get("mode", 0o666)))
        return self.answer(HANDLE, number, string(self.handle(self.files, descriptor)))

    def close(self, number, packet):
        name = packet.text()
        if name in self.files:
            os.close(self.files.pop(name))
        else:
            self.directories.pop(name)
        return self.status(number, OK)

    def read(self, number, packet):
        descriptor, offset, size = self.files[packet.text()], packet.u64(), packet.u32()
        data = os.pread(descriptor, min(size, 1 << 18), offset)
        return self.answer(DATA, number, string(data)) if data else self.status(number, EOF, b"end of file")

    def write(self, number, packet):
        descriptor, offset, data = self.files[packet.text()], packet.u64(), packet.text()
        if "disk-full" in faults():
            raise OSError(errno.ENOSPC, "No space left on device")
        while data:
            done = os.pwrite(descriptor, data, offset)
            data, offset = data[done:], offset + done
        return self.status(number, OK)

    def lstat(self, number, packet):
        return self.answer(ATTRS, number, attributes(os.lstat(packet.path())))

    def stat(self, number, packet):
        return self.answer(ATTRS, number, attributes(os.stat(packet.path())))

    def fstat(self, number, packet):
        return self.answer(ATTRS, number, attributes(os.fstat(self.files[packet.text()])))

    def setstat(self, number, packet):
        path = packet.path()
        apply(path, packet.attributes())
        return self.status(number, OK)

    def fsetstat(self, number, packet):
        descriptor = self.files[packet.text()]
        apply(descriptor, packet.attributes())
        return self.status(number, OK)

    def opendir(self, number, packet):
        path = packet.path()
        names = [b".", b"..", *os.listdir(path)]
        return self.answer(HANDLE, number, string(self.handle(self.directories, (path, names))))

    def readdir(self, number, packet):
        path, names = self.directories[packet.text()]
        if not names:
            return self.status(number, EOF, b"end of file")
        body, count = b"", 0
        while names and count < 100:
            name = names.pop(0)
            try:
                info = os.lstat(os.path.join(path, name))
            except OSError:
                continue
            body += string(name) + string(longname(name, info)) + attributes(info)
            count += 1
        return self.answer(NAME, number, struct.pack(">I", count) + body)

    def remove(self, number, packet):
        os.unlink(packet.path())
        return self.status(number, OK)

    def mkdir(self, number, packet):
        path, wanted = packet.path(), packet.attributes()
        os.mkdir(path, stat.S_IMODE(wanted.get("mode", 0o777)))
        return self.status(number, OK)

    def rmdir(self, number, packet):
        os.rmdir(packet.path())
        return self.status(number, OK)

    def name(self, number, path):
        return self.answer(NAME, number, struct.pack(">I", 1) + string(path) + string(path) + struct.pack(">I", 0))

    def realpath(self, number, packet):
        return self.name(number, os.path.realpath(packet.path()))

    def readlink(self, number, packet):
        return self.name(number, os.readlink(packet.path()))

    def rename(self, number, packet):
        old, new = packet.path(), packet.path()
        if os.path.lexists(new):
            return self.status(number, FAILURE, b"file exists")
        os.rename(old, new)
        return self.status(number, OK)

    def symlink(self, number, packet):
        # OpenSSH has target and link the other way round than the draft, and everybody follows it.
        target, link = packet.path(), packet.path()
        os.symlink(target, link)
        return self.status(number, OK)

    def extended(self, number, packet):
        name = packet.text()
        if name == b"posix-rename@openssh.com":
            os.replace(packet.path(), packet.path())
        elif name == b"hardlink@openssh.com":
            os.link(packet.path(), packet.path())
        elif name == b"fsync@openssh.com":
            os.fsync(self.files[packet.text()])
        elif name == b"statvfs@openssh.com":
            info = os.statvfs(packet.path())
            values = (info.f_bsize, info.f_frsize, info.f_blocks, info.f_bfree, info.f_bavail, info.f_files, info.f_ffree)
            return self.answer(EXTENDED_REPLY, number, struct.pack(">11Q", *values, info.f_favail, 0, 0, info.f_namemax))
        else:
            return self.status(number, UNSUPPORTED, b"unsupported")
        return self.status(number, OK)


METHODS = {
    OPEN: Server.open, CLOSE: Server.close, READ: Server.read, WRITE: Server.write, LSTAT: Server.lstat, FSTAT: Server.fstat,
    SETSTAT: Server.setstat, FSETSTAT: Server.fsetstat, OPENDIR: Server.opendir, READDIR: Server.readdir,
    REMOVE: Server.remove, MKDIR: Server.mkdir, RMDIR: Server.rmdir, REALPATH: Server.realpath, STAT: Server.stat,
    RENAME: Server.rename, READLINK: Server.readlink, SYMLINK: Server.symlink, EXTENDED: Server.extended,
}  # fmt: skip


def exactly(stream, size):
    data = stream.read(size)
    return data if data is not None and len(data) == size else b""


def main():
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    server = Server()
    while head := exactly(stdin, 5):
        size = struct.unpack(">I", head[:4])[0] - 1
        if size < 0 or size > MAX_PACKET:
            return 1
        reply = server.serve(head[4], Packet(exactly(stdin, size) if size else b""))
        stdout.write(struct.pack(">I", len(reply)) + reply)
        stdout.flush()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BrokenPipeError, KeyboardInterrupt):
        sys.exit(1)
