"""The simulated GitHub in this process, for the programs that talk to it."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from aether_sim.github.actions import Actions, JobFailed
from aether_sim.github.api import Api
from aether_sim.github.environments import Environments
from aether_sim.github.gitdata import GitData
from aether_sim.github.store import Repository, Store
from components.github.api import Api as Client

TOKEN = "ghp_test"
WORKFLOW = """\
name: build
on:
  pull_request:
  push:
    branches: [main, other]
    paths-ignore: ["**.md"]
  workflow_dispatch:
jobs:
  build:
    name: build ${{ matrix.image }}
    strategy: {matrix: {image: [one, two]}}
  publish:
    name: publish ${{ matrix.image }}
    environment: release
    strategy: {matrix: {image: [one, two]}}
"""
FILES = {".github/workflows/build.yml": WORKFLOW, "recipes/one.yml": "name: one\n", "README.md": "# images\n"}


@dataclass
class Served:
    """The running server: its parts, what was published, and how often a fault still holds."""

    api: Api
    actions: Actions
    url: str
    loop: asyncio.AbstractEventLoop
    published: list[tuple[str, str]] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)

    @property
    def repository(self) -> Repository:
        return self.api.store.repositories["aether-image"]

    def client(self) -> Client:
        return Client(self.url, TOKEN, "example/aether-image")


@contextmanager
def served(directory: Path) -> Iterator[Served]:
    """GitHub with one repository, whose workflows run at once."""
    loop = asyncio.new_event_loop()
    api = Api(Store(directory), "example", TOKEN, lambda _: None)
    api.more += [GitData(api).routes, Environments(api).routes]
    made: list[Served] = []

    async def publish(repository: Repository, image: str, commit: str) -> str:
        if not repository.secrets:
            raise JobFailed("Error: COSIGN_PRIVATE_KEY is empty")
        made[0].published.append((image, commit))
        return "published\n"

    def counts(name: str) -> bool:
        left = made[0].faults.get(name, 0)
        made[0].faults[name] = max(0, left - 1)
        return left > 0

    actions = Actions(api, publish, counts)
    actions.step = 0.01
    api.pushed = actions.pushed
    api.more.append(actions.routes)

    async def start() -> str:
        runner = web.AppRunner(api.application())
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    url = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
    made.append(Served(api, actions, url, loop))
    repository = api.store.create("example", "aether-image", {}, True)
    repository.secrets = {"release/COSIGN_PRIVATE_KEY": {"sha256": "x"}}
    try:
        yield made[0]
    finally:
        asyncio.run_coroutine_threadsafe(actions.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
