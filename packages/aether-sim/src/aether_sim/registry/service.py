"""The registry as a service of the datacentre, with its faults."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
from typing import TYPE_CHECKING, Any, ClassVar

from aether_sim import cloud_facts
from aether_sim.keys import KeysError
from aether_sim.paths import write_atomic
from aether_sim.registry import images
from aether_sim.registry.gate import Gate
from aether_sim.registry.images import ImageError, Signer

if TYPE_CHECKING:
    from aether_sim.datacentre import Datacentre

_FIRST = "the first build\n"
# Seconds that crane may take to listen, on a busy machine.
START = 120
TRIES = 3


class Registry:
    """`crane registry serve` on 127.0.0.1; target of its faults: `registry`.

    That address and no other of loopback: crane and cosign speak http to it without being told.
    """

    name = "registry"
    faults: ClassVar[dict[str, str]] = {
        "wrong-key": "`latest` of every image is one that another key signed",
        "unsigned": "`latest` of every image is one that nobody signed",
        "tampered": "`latest` of every image is one that somebody changed, with the signature of the real one beside it",
        "private": "the package VALUE (default: every image's) is private, as a new one is: who has not logged in is denied",
        "offline": "the registry does not answer",
    }

    def __init__(self, datacentre: Datacentre) -> None:
        self.datacentre = datacentre
        self.facts = cloud_facts.load(datacentre.inventory_files())
        self.directory = datacentre.paths.state / "registry"
        self.tools = datacentre.paths.engine_bin
        self.login = self.directory / "login"
        self.signer = Signer(datacentre.paths.keys / "image", self.tools, self.login)
        self.other = Signer(datacentre.paths.keys / "image-other", self.tools, self.login)
        self.on: set[str] = set()
        # crane keeps manifests in memory alone: what is published again at each start, with the same digests.
        last = self.directory / "last.json"
        self._last: dict[str, str] = json.loads(last.read_text()) if last.exists() else {}
        # That of the last time where it is free.
        kept = self.directory / "port"
        self.gate = Gate("127.0.0.1", int(kept.read_text()) if kept.exists() else 0)
        self.port = self.gate.port
        write_atomic(kept, str(self.port).encode())
        # A workflow is logged in: what is private to others is not to it.
        auth = {"auth": base64.b64encode(b"workflow:token").decode()}
        write_atomic(self.login / "config.json", json.dumps({"auths": {f"127.0.0.1:{self.port}": auth}}).encode())
        self._child: asyncio.subprocess.Process | None = None
        self._filling: asyncio.Task[None] | None = None
        self._without_own = False

    @property
    def usable(self) -> bool:
        """Whether the tools are built."""
        return all((self.tools / tool).exists() for tool in ("crane", "sops"))

    @property
    def signs(self) -> bool:
        """Whether own images can be made: a stack without an image repository needs none, and no cosign."""
        return (self.tools / "cosign").exists()

    def reference(self, image: str) -> str:
        """Where an image is, without tag."""
        return f"127.0.0.1:{self.port}/{self.facts.owner}/{image}"

    async def start(self) -> None:
        """Serve, with the images signed."""
        if not self.usable:
            self.datacentre.warnings.append("the registry needs crane and sops. Fix: make setup, then start again")
            await self.gate.close()
            return
        try:
            await self._serve()
        except ImageError as error:
            self.datacentre.warnings.append(f"the registry has no images: {error}")
            await self.gate.close()
            return
        self._filling = asyncio.create_task(self._fill())

    async def filled(self) -> None:
        """Wait until the images are there, the own ones too."""
        if self._filling is not None:
            await self._filling
            if self._without_own and self.signs:
                self._filling = asyncio.create_task(self._fill())
                await self._filling

    async def _fill(self) -> None:
        """In more than one try: a warning has the next start cut the power of all hosts, to do better."""
        for left in reversed(range(TRIES)):
            try:
                await asyncio.to_thread(self._first_images)
                return
            except (ImageError, KeysError) as error:
                self.datacentre.log(f"the registry's images: {error}")
                if not left:
                    self.datacentre.warnings.append(f"the registry has no images: {error}")

    async def _serve(self) -> None:
        (self.directory / "blobs").mkdir(parents=True, exist_ok=True)
        log = self.directory / "registry.log"
        # It takes a port that is free, and says which.
        command = [str(self.tools / "crane"), "registry", "serve", "--address", "127.0.0.1:0", "--disk"]
        with log.open("wb") as file:
            self._child = await asyncio.create_subprocess_exec(*command, str(self.directory / "blobs"), stdout=file, stderr=file)
        deadline = time.monotonic() + START
        while not (said := re.search(r"serving on port (\d+)", log.read_text())):
            if self._child.returncode is not None or time.monotonic() > deadline:
                raise ImageError(f"crane serves no registry; see {log}")
            await asyncio.sleep(0.05)
        await self.gate.open(f"http://127.0.0.1:{said[1]}")

    def _first_images(self) -> None:
        """crane keeps manifests in memory alone: the images are made at each start, with the same digests."""
        for reference in self.facts.foreign:
            # Its builders are others: nobody here signs it.
            images.push(self.tools, f"127.0.0.1:{self.port}/{reference}", f"{reference}\n")
        self._without_own = not self.signs
        if self._without_own:
            return
        self.signer.ensure()
        self.datacentre.keys.write_secret_file(
            "image.yaml", {"cosign_private_key": self.signer.private.read_text(), "cosign_password": self.signer.password}
        )
        for image in self.facts.images:
            self.publish(image, self._last.get(image, _FIRST))

    def publish(self, image: str, content: str, signer: Signer | None = None, signed: bool = True) -> str:
        """A new `latest` of IMAGE; returns its digest. Raises ImageError."""
        digest = images.push(self.tools, f"{self.reference(image)}:latest", f"{image}\n{content}", self.login)
        if signed:
            (signer or self.signer).sign(f"{self.reference(image)}@{digest}")
        return digest

    def build(self, image: str, commit: str) -> str:
        """A new `latest` of IMAGE from COMMIT, as a workflow makes it; returns its digest. Raises ImageError."""
        self._last[image] = f"built from {commit}\n"
        write_atomic(self.directory / "last.json", json.dumps(self._last).encode())
        wrong = self.on & {"wrong-key", "unsigned", "tampered"}
        digest = self.publish(
            image, self._last[image], self.other if "wrong-key" in wrong else None, not wrong or "wrong-key" in wrong
        )
        if "tampered" in wrong:
            self._borrow(image, digest)
        return digest

    async def stop(self) -> None:
        """End the child."""
        if self._filling is not None:
            await asyncio.gather(self._filling, return_exceptions=True)
        await self.gate.close()
        if self._child is not None and self._child.returncode is None:
            self._child.terminate()
            await self._child.wait()
        self._child = None

    def stack_settings(self) -> dict[str, Any]:
        """Where images are, and whose signature they have."""
        return {"aether:imageRegistry": f"127.0.0.1:{self.port}", "aether:imagePublicKey": str(self.signer.public)}

    def listing(self) -> dict[str, dict[str, str]]:
        """Faults that are on."""
        return {"registry": dict.fromkeys(sorted(self.on), "on")} if self.on else {}

    async def switch(self, target: str, name: str, on: bool, value: str = "") -> None:
        """Turn a fault on or off."""
        (self.on.add if on else self.on.discard)(name)
        if name == "private":
            packages = {f"{self.facts.owner}/{image}" for image in self.facts.images if value in ("", image)}
            self.gate.private = self.gate.private | packages if on else set()
            return
        if name == "offline":
            await self.stop()
            if not on:
                await self.start()
            return
        if name == "wrong-key" and on:
            await asyncio.to_thread(self.other.ensure)
        for image in self.facts.images:
            content = f"{name}\n" if on else self._last.get(image, _FIRST)
            digest = await asyncio.to_thread(
                self.publish, image, content, self.other if on else None, not on or name == "wrong-key"
            )
            if on and name == "tampered":
                await asyncio.to_thread(self._borrow, image, digest)

    def _borrow(self, image: str, digest: str) -> None:
        """Put the signature of the first build beside another image."""
        real = images.push(self.tools, f"{self.reference(image)}:first", f"{image}\n{_FIRST}")
        self.signer.sign(f"{self.reference(image)}@{real}")
        images.borrow_signature(self.tools, self.reference(image), real, digest)


def create(datacentre: Datacentre) -> Registry:
    """The service of this datacentre."""
    return Registry(datacentre)
