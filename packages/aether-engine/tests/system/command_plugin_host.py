"""A real SSH server in a thread: commands are real processes in a folder, files go there by SFTP."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import asyncssh
import asyncssh.channel

HOST_KEY, OTHER_KEY, CLIENT_KEY = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(3))
# RSA in PEM: its passphrase needs no bcrypt.
LOCKED_KEY = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
# Exported once: each export is another text.
CLIENT_TEXT = CLIENT_KEY.export_private_key().decode()
PASSWORD, PASSPHRASE = "correct horse", "open sesame"
LOCKED_TEXT = LOCKED_KEY.export_private_key("pkcs1-pem", passphrase=PASSPHRASE).decode()


def public(key: asyncssh.SSHKey) -> str:
    return key.export_public_key().decode().strip()


class _Server(asyncssh.SSHServer):
    def __init__(self, host: "SshHost") -> None:
        self.host = host

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        conn.set_extra_info(aether_host=self.host)
        self.host.peers.append(conn.get_extra_info("peername"))

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return username == "root" and password == PASSWORD

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == "root" and key.public_data in (CLIENT_KEY.public_data, LOCKED_KEY.public_data)

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        self.host.forwarded.append((dest_host, dest_port))
        return True


class _Channel(asyncssh.channel.SSHServerChannel[bytes]):
    """OpenSSH answers no to variables that AcceptEnv does not name; asyncssh takes them all."""

    def _process_env_request(self, packet: Any) -> bool:
        host: SshHost = self._conn.get_extra_info("aether_host")
        name = packet.get_string().decode()
        value = packet.get_string()
        packet.check_end()
        if name not in host.accepted:
            return False
        self._env[name.encode()] = value
        return True


class SshHost:
    """One host: its folder is both the working folder of commands and the root of its files."""

    def __init__(self, root: Path, key: asyncssh.SSHKey = HOST_KEY) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.accepted: set[str] = {"GREETING", "PULUMI_COMMAND_STDOUT", "PULUMI_COMMAND_STDERR"}
        self.peers: list[Any] = []
        self.forwarded: list[tuple[str, int]] = []
        self.commands: list[str] = []
        self.signals: list[str] = []
        self.refuse_dials = 0
        self._key = key
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server: asyncio.Server = self._run(self._start())
        self.port: int = self._server.sockets[0].getsockname()[1]

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _start(self) -> asyncio.Server:
        self._inner = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda: _Server(self),
            server_host_keys=[self._key],
            process_factory=self._process,
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(self.root).encode()),
            encoding=None,
        )
        # In front of it, a listener that can refuse the first dials.
        return await asyncio.start_server(self._front, "127.0.0.1", 0)

    async def _front(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuse_dials:
            self.refuse_dials -= 1
            writer.close()
            return
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", self._inner.get_port())
        await asyncio.gather(_pump(reader, back_writer), _pump(back_reader, writer), return_exceptions=True)

    async def _process(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        self.commands.append(process.command or "")
        child = await asyncio.create_subprocess_shell(
            process.command or "",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self.root,
            env={**os.environ, **dict(process.env)},
        )
        assert child.stdin and child.stdout and child.stderr

        def told(signal: str) -> None:
            self.signals.append(signal)
            child.terminate()

        # Reading would raise it too, but not after the end of the input, which most commands see at once.
        process.signal_received = told  # type: ignore[method-assign]
        feed = asyncio.create_task(_feed(process.stdin, child.stdin))
        await asyncio.gather(_drain(child.stdout, process.stdout), _drain(child.stderr, process.stderr))
        process.exit(await child.wait())
        feed.cancel()

    def close(self) -> None:
        async def stop() -> None:
            self._server.close()
            self._inner.close()

        self._run(stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)


async def _feed(source: asyncssh.SSHReader[bytes], target: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        target.write(data)
    target.close()


async def _drain(source: asyncio.StreamReader, target: asyncssh.SSHWriter[bytes]) -> None:
    while data := await source.read(65536):
        target.write(data)
        await target.drain()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


def install_accept_env(replace: Callable[[Any, str, Any], None]) -> None:
    """Makes every asyncssh server of this process answer for its AcceptEnv; `replace` is monkeypatch.setattr."""
    replace(asyncssh.channel.SSHServerChannel, "_process_env_request", _Channel._process_env_request)
