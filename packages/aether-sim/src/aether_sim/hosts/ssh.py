"""The SSH server of one host: real SSH on the host's own loopback address, sessions inside the host."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import inspect
import os
import signal
import socket
import struct
import termios
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import asyncssh

from aether_sim import sftp
from aether_sim.hosts import listeners
from aether_sim.hosts import process as proc
from aether_sim.hosts.faults import Faulty

HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"
_CHUNK = 65536
# RFC 4254, section 5.2.
_STDERR = 1
# sshd's defaults on Debian and NixOS, and the prefix for what the program passes on.
_ACCEPTED = ("LANG", "LC_", "AETHER_")


class _Login(asyncssh.SSHServer):
    """Public keys only, from the files that sshd reads; jumps are allowed through Proxmox nodes alone."""

    def __init__(self, server: HostSsh) -> None:
        self._server, self._host = server, server.host
        self._connection: asyncssh.SSHServerConnection | None = None
        self._refused = 0

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._server.connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            self._server.connections.discard(self._connection)

    def session_requested(self) -> asyncssh.SSHServerSession[bytes]:
        return _Session(self._server.session)

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return False

    def kbdint_auth_supported(self) -> bool:
        return False

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        known = self._host.authorizes(username, key.export_public_key("openssh").decode().split()[:2])
        self._refused += not known
        if self._refused == (3 if self._host.facts.flavour == "nixos" else 6) and self._connection is not None:
            # MaxAuthTries of nix/modules/security.nix, and sshd's own.
            self._connection.disconnect(asyncssh.DISC_PROTOCOL_ERROR, "Too many authentication failures")
        return known

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        return self._host.may_forward_to(dest_host, dest_port)


class _Session(asyncssh.SSHServerProcess[bytes]):
    """asyncssh would serve SFTP itself, outside the host; here it is a program in the host like every other."""

    def __init__(self, handler: Callable[[asyncssh.SSHServerProcess[bytes]], Awaitable[None]]) -> None:
        super().__init__(handler, None, 3, False)

    def subsystem_requested(self, subsystem: str) -> bool:
        return subsystem == "sftp" and sftp.server() is not None

    def session_started(self) -> None:
        streams = (
            asyncssh.SSHReader[bytes](self, self._chan),
            asyncssh.SSHWriter[bytes](self, self._chan),
            asyncssh.SSHWriter[bytes](self, self._chan, _STDERR),
        )
        handler = self._start_process(*streams)
        assert self._conn is not None and inspect.isawaitable(handler)
        self._conn.create_task(handler, streams[0].logger)


class HostSsh:
    """Listens while the host is up and its sshd unit is active."""

    def __init__(self, host: Faulty, address: str, port: int) -> None:
        self.host, self.address, self.port = host, address, port
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self.connections: set[asyncssh.SSHServerConnection] = set()

    @property
    def listening(self) -> bool:
        """Whether new connections are answered."""
        return self._acceptor is not None

    async def start(self, private_key: bytes) -> None:
        """Listen with this host key (OpenSSH PEM), or change the key of a listening server."""
        key = asyncssh.import_private_key(private_key)
        if self._acceptor is not None:
            self._acceptor.update(server_host_keys=[key])
            return
        self._acceptor = await asyncssh.listen(
            sock=self._socket(),
            server_factory=lambda: _Login(self),
            server_host_keys=[key],
            encoding=None,
            line_editor=False,
            agent_forwarding=False,
            x11_forwarding=False,
            gss_host=None,
            compression_algs=["none"],
            server_version="OpenSSH_10.0 aether-sim",
            backlog=256,
        )

    def _socket(self) -> socket.socket:
        return listeners.bound(self.host, self.port)

    async def stop(self, drop: bool = False) -> None:
        """Stop listening; `drop` also cuts the connections that are open, as a power cut does."""
        if self._acceptor is not None:
            self._acceptor.close()
            self._acceptor = None
        if drop:
            for connection in list(self.connections):
                connection.abort()
            self.connections.clear()

    async def session(self, session: asyncssh.SSHServerProcess[bytes]) -> None:
        """One shell, command or SFTP session."""
        try:
            await self._run(session)
        except Exception as error:
            # Whatever it was, it ends this session and no other.
            self.host.log(f"ssh session: {error!r}")
            with contextlib.suppress(asyncssh.Error, OSError):
                session.exit(255)

    async def _run(self, session: asyncssh.SSHServerProcess[bytes]) -> None:
        host = self.host
        user = proc.find_user(host.root, session.get_extra_info("username") or "")
        if user is None:
            session.exit(255)
            return
        environment = host.environment(user)
        for name, value in session.env.items():
            if str(name).startswith(_ACCEPTED):
                environment[str(name)] = str(value)
        address, port = (session.get_extra_info("peername") or ("127.0.0.1", 0))[:2]
        environment["SSH_CONNECTION"] = f"{address} {port} {self.address} {self.port}"
        environment["SSH_CLIENT"] = f"{address} {port} {self.port}"
        command = self._command(session, user)
        if command is None:
            session.exit(127)
            return
        if session.term_type:
            environment["TERM"] = session.term_type
            await _run_on_terminal(session, host, user, environment, command)
        else:
            await _run_on_pipes(session, host, user, environment, command)

    def _command(self, session: asyncssh.SSHServerProcess[bytes], user: proc.User) -> list[str] | None:
        """What follows `env`: change to the home directory, then the shell as sshd starts it."""
        where = ["-C", user.home if self.host.root.is_dir(user.home) else "/"]
        if session.subsystem == "sftp":
            server = sftp.server()
            if server is None or not self.host.faults.has("disk-full"):
                return [*where, server] if server else None
            # Nothing more can be written; the server is told so, as by a disk.
            return [*where, "env", "--ignore-signal=XFSZ", "prlimit", "--fsize=0", server]
        if session.subsystem:
            return None
        if session.command is not None:
            return [*where, user.shell, "-c", session.command]
        return [*where, user.shell, "-l"]


class Reachable(Faulty, Protocol):
    """A host that has one."""

    @property
    def ssh(self) -> HostSsh: ...


def _argv(host: Faulty, user: proc.User, environment: dict[str, str], command: list[str], tty: bool) -> list[str]:
    entry = proc.enter_command(host.pid, user, environment, tty)
    # env takes -C before the assignments.
    split = len(entry) - len(environment)
    return [*entry[:split], *command[:2], *entry[split:], *command[2:]]


async def _run_on_pipes(
    session: asyncssh.SSHServerProcess[bytes],
    host: Faulty,
    user: proc.User,
    environment: dict[str, str],
    command: list[str],
) -> None:
    child = await proc.spawn(_argv(host, user, environment, command, False), stdin=asyncio.subprocess.PIPE)
    assert child.stdin and child.stdout and child.stderr
    feed = asyncio.create_task(_feed(session, child.stdin, child.pid))
    await asyncio.gather(_drain(child.stdout, session.stdout), _drain(child.stderr, session.stderr))
    code = await child.wait()
    feed.cancel()
    _exit(session, code)


async def _feed(session: asyncssh.SSHServerProcess[bytes], pipe: asyncio.StreamWriter, group: int) -> None:
    """Client to process; the client's signals go to the process group."""
    with contextlib.suppress(ConnectionError, asyncssh.Error, OSError):
        while True:
            try:
                data = await session.stdin.read(_CHUNK)
            except asyncssh.SignalReceived as received:
                with contextlib.suppress(ProcessLookupError, KeyError):
                    os.killpg(group, signal.Signals[f"SIG{received.signal}"])
                continue
            except (asyncssh.BreakReceived, asyncssh.TerminalSizeChanged):
                continue
            if not data:
                break
            pipe.write(data)
            await pipe.drain()
    with contextlib.suppress(ConnectionError, OSError):
        pipe.close()


async def _drain(pipe: asyncio.StreamReader, writer: asyncssh.SSHWriter[bytes]) -> None:
    """Process to client."""
    while data := await pipe.read(_CHUNK):
        try:
            writer.write(data)
            await writer.drain()
        except (ConnectionError, asyncssh.Error, OSError):
            return


def _exit(session: asyncssh.SSHServerProcess[bytes], code: int) -> None:
    if code < 0:
        session.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))
    else:
        session.exit(code)


def _resize(descriptor: int, size: tuple[Any, ...]) -> None:
    columns, rows = (*size, 80, 24)[:2]
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows or 24, columns or 80, 0, 0))


async def _run_on_terminal(
    session: asyncssh.SSHServerProcess[bytes],
    host: Faulty,
    user: proc.User,
    environment: dict[str, str],
    command: list[str],
) -> None:
    """A session on a terminal of the host's own devpts."""
    master, slave, name = host.open_terminal()
    environment["SSH_TTY"] = name
    os.set_blocking(master, False)
    _resize(master, session.term_size)
    try:
        child = await proc.spawn(_argv(host, user, environment, command, True), stdin=slave, stdout=slave, stderr=slave)
    except OSError:
        os.close(master)
        raise
    finally:
        os.close(slave)
    loop = asyncio.get_running_loop()
    ended = loop.create_future()

    def read() -> None:
        try:
            data = os.read(master, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            with contextlib.suppress(OSError, asyncssh.Error):
                session.stdout.write(data)
        else:
            loop.remove_reader(master)
            if not ended.done():
                ended.set_result(None)

    loop.add_reader(master, read)
    feed = asyncio.create_task(_feed_terminal(session, master))
    code = await child.wait()
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(ended, 1)
    feed.cancel()
    loop.remove_reader(master)
    os.close(master)
    _exit(session, code)


async def _feed_terminal(session: asyncssh.SSHServerProcess[bytes], master: int) -> None:
    while True:
        try:
            data = await session.stdin.read(_CHUNK)
        except asyncssh.TerminalSizeChanged as changed:
            _resize(master, changed.term_size)
            continue
        except (asyncssh.BreakReceived, asyncssh.SignalReceived):
            os.write(master, b"\x03")
            continue
        except (asyncssh.Error, ConnectionError, OSError):
            data = b""
        if not data:
            # The client is gone: the terminal hangs up.
            with contextlib.suppress(OSError):
                os.write(master, b"\x04")
            return
        while data:
            try:
                data = data[os.write(master, data) :]
            except BlockingIOError:
                await asyncio.sleep(0.01)
            except OSError:
                return
