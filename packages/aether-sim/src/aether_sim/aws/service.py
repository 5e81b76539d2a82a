"""The simulated AWS as a service of the supervisor: the door in front of moto, with its faults."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs

import aiohttp
from aiohttp import web

from aether_sim import cloud_facts
from aether_sim.aws.dlm import Policies
from aether_sim.aws.errors import access_key_of, refuse, service_of
from aether_sim.aws.machines import Ec2Hosts
from aether_sim.aws.moto_process import HOP, Moto, MotoError
from aether_sim.loopback import LoopbackService
from aether_sim.paths import write_atomic

if TYPE_CHECKING:
    from aether_sim.datacentre import Datacentre

_POWER = {"RunInstances", "StartInstances", "StopInstances", "TerminateInstances", "RebootInstances"}


class Aws(LoopbackService):
    """Answers on 127.N.0.2 for every service; target of its faults: `aws`."""

    name = "aws"
    faults: ClassVar[dict[str, str]] = {
        "throttling": "the next VALUE requests (default 1) are refused with RequestLimitExceeded or Throttling",
        "server-error": "the next VALUE requests (default 1) get 500 InternalError",
        "eventual-consistency": "the next VALUE reads (default 1) of an instance or an instance profile do not find it yet",
        "expired-token": "every request is refused with ExpiredToken",
    }

    def __init__(self, datacentre: Datacentre) -> None:
        super().__init__(datacentre, 2)
        facts = cloud_facts.load(datacentre.inventory_files())
        self.moto = Moto(self.directory, self.address, facts.region, datacentre.log)
        self.policies = Policies(self.directory, facts.region)
        self.machines = Ec2Hosts(datacentre, facts.region)
        self._awake: asyncio.Task[None] | None = None
        self.access_key, self.secret_key = self._credentials()

    def _credentials(self) -> tuple[str, str]:
        file = self.datacentre.paths.keys / "aws-credentials"
        if not file.exists():
            write_atomic(file, f"AKIA{secrets.token_hex(8).upper()} {secrets.token_urlsafe(30)}".encode())
        key, secret = file.read_text().split()
        return key, secret

    async def start(self) -> None:
        """Listen. moto comes with the first request, or with what it remembers."""
        app = web.Application(client_max_size=16 << 20)
        app.router.add_route("*", "/{path:.*}", self._door)
        await self.listen(app)
        if self.moto.remembers:
            self._awake = asyncio.create_task(self._wake())

    async def _wake(self) -> None:
        """Have the machines of before up again."""
        await self.moto.send("GET", "/moto-api/config", {}, b"")
        await self.machines.follow(self.moto.url)

    async def filled(self) -> None:
        """Wait until the machines of before are up again."""
        if self._awake is not None:
            await asyncio.wait([self._awake])

    async def stop(self) -> None:
        """Close the port, end moto."""
        if self._awake is not None:
            self._awake.cancel()
        await super().stop()
        await self.moto.stop()

    def stack_settings(self) -> dict[str, Any]:
        """Where it answers, and the credentials that it takes."""
        return {
            "aether:awsEndpoint": f"http://{self.address}:{self.port}",
            "aether:awsAccessKey": self.access_key,
            "aether:awsSecretKey": self.secret_key,
        }

    async def _door(self, request: web.Request) -> web.Response:
        body = await request.read()
        authorization = request.headers.get("Authorization", "")
        service = service_of(authorization)
        action = parse_qs(body.decode("latin-1")).get("Action", [""])[0] if b"Action=" in body else ""
        if (refusal := self._refusal(authorization, service, action)) is not None:
            return refusal
        if service == "dlm":
            return self.policies.answer(request.method, request.raw_path.partition("?")[0], request.query_string, body)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP}
        # moto tells services by the host's name or the signature's scope.
        try:
            status, kept, answer = await self.moto.send(request.method, request.raw_path, headers, body)
        except (MotoError, aiohttp.ClientError) as error:
            self.datacentre.log(f"aws: {error}")
            return refuse(service, 500, "InternalError", f"the simulator's own AWS: {error}")
        if service == "ec2" and action in _POWER and status < 300:
            if action == "RebootInstances":
                for identifier in (values[0] for key, values in parse_qs(body.decode()).items() if key.startswith("InstanceId")):
                    await self.machines.reboot(identifier)
            else:
                await self.machines.follow(self.moto.url)
        return web.Response(status=status, headers=kept, body=answer)

    def _refusal(self, authorization: str, service: str, action: str) -> web.Response | None:
        wrong = "expired" if "expired-token" in self.on else "invalid" if access_key_of(authorization) != self.access_key else ""
        if wrong:
            codes = {"expired": ("RequestExpired", "ExpiredToken"), "invalid": ("AuthFailure", "InvalidClientTokenId")}[wrong]
            code = codes[0] if service == "ec2" else codes[1]
            return refuse(service, 403, code, f"The security token included in the request is {wrong}")
        if self.counts("throttling"):
            code = "RequestLimitExceeded" if service == "ec2" else "Throttling"
            return refuse(service, 503 if service == "ec2" else 400, code, "Request limit exceeded.")
        if self.counts("server-error"):
            return refuse(service, 500, "InternalError", "An internal error has occurred")
        if action == "DescribeInstances" and self.counts("eventual-consistency"):
            return refuse(service, 400, "InvalidInstanceID.NotFound", "The instance ID does not exist")
        if action == "GetInstanceProfile" and self.counts("eventual-consistency"):
            return refuse(service, 404, "NoSuchEntity", "Instance Profile cannot be found.")
        return None


def create(datacentre: Datacentre) -> Aws:
    """The service of this datacentre."""
    return Aws(datacentre)
