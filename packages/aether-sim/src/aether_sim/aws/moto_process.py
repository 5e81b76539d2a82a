"""The moto server as a child process, and the memory that moto itself has not: every change, played again at a start."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import aiohttp

from aether_sim.paths import SOURCES

# Seconds that moto may take to listen: it imports a few hundred modules, on a busy machine beside much else.
START = 300

# Request and answer headers that belong to one connection.
HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding", "host", "te", "upgrade"}


def reads(method: str, headers: dict[str, str], body: bytes) -> bool:
    """Whether a request changes nothing: a replay does without it."""
    target = next((value for name, value in headers.items() if name.lower() == "x-amz-target"), "").rpartition(".")[2]
    action = target or parse_qs(body.decode("latin-1")).get("Action", [""])[0]
    return action.startswith(("Describe", "Get", "List")) or (not action and method in ("GET", "HEAD"))


class MotoError(Exception):
    """moto does not answer; the message says where its log is."""


class Moto:
    """Started by the first request. Changes are numbered, and each draws its ids from random numbers seeded with its number:
    what is read between them, and how often, makes no difference to a replay."""

    def __init__(self, directory: Path, address: str, region: str, log: Any) -> None:
        self.directory, self.address, self.region, self.log = directory, address, region, log
        self.journal = directory / "requests.jsonl"
        self.port = 0
        self._child: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None
        self._lock = asyncio.Lock()
        self._ready = False
        self._changes = 0

    @property
    def url(self) -> str:
        """Where moto itself listens: for the simulator, not for the program."""
        return f"http://{self.address}:{self.port}"

    @property
    def remembers(self) -> bool:
        """Whether there is something of a former run."""
        return self.journal.exists()

    async def send(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        """One request to moto, remembered."""
        async with self._lock:
            await self._up()
            if not reads(method, headers, body):
                entry = {"method": method, "path": path, "headers": headers, "body": body.decode("latin-1")}
                with self.journal.open("a") as journal:
                    journal.write(json.dumps(entry) + "\n")
                return await self._change(method, path, headers, body)
            return await self._pass(method, path, headers, body)

    async def stop(self) -> None:
        """End the child."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        self._ready = False
        if self._child is not None and self._child.returncode is None:
            self._child.terminate()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._child.wait(), 5)
            if self._child.returncode is None:
                self._child.kill()
                await self._child.wait()
        self._child = None

    async def _up(self) -> None:
        if self._ready and self._child is not None and self._child.returncode is None:
            return
        await self.stop()  # One that did not get as far as to answer is no use.
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.directory / "moto.log").open("ab") as log:
            self._child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "aether_sim.aws.moto_server", self.address),
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                cwd=SOURCES,
            )
        assert self._child.stdout is not None
        line = b""
        with contextlib.suppress(asyncio.TimeoutError):
            line = await asyncio.wait_for(self._child.stdout.readline(), START)
        if not line.strip().isdigit():
            raise MotoError(f"moto did not start within {START} s; see {self.directory / 'moto.log'}")
        self.port = int(line)
        self._session = self._session or aiohttp.ClientSession(auto_decompress=True)
        self._changes = 0
        await self._seed()
        # The region's own VPC and subnets are made when it is first asked for anything.
        scope = f"AWS4-HMAC-SHA256 Credential=simulator/20260101/{self.region}/ec2/aws4_request, SignedHeaders=host, Signature=0"
        form = {"Authorization": scope, "Content-Type": "application/x-www-form-urlencoded"}
        await self._pass("POST", "/", form, b"Action=DescribeVpcs&Version=2016-11-15")
        if self.journal.exists():
            entries = [json.loads(text) for text in self.journal.read_text().splitlines()]
            for entry in entries:
                await self._change(entry["method"], entry["path"], entry["headers"], entry["body"].encode("latin-1"))
            self.log(f"aws: {len(entries)} requests of before played again")
        self._ready = True

    async def _seed(self) -> None:
        await self._pass("POST", f"/moto-api/seed?a={self._changes}", {}, b"")

    async def _change(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        self._changes += 1
        await self._seed()
        return await self._pass(method, path, headers, body)

    async def _pass(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        assert self._session is not None
        async with self._session.request(method, self.url + path, headers=headers, data=body) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP}
            return answer.status, kept, await answer.read()
