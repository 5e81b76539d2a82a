"""Machines that follow the simulated EC2: a host is up exactly while its instance runs, with what the instance was born with."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

from aether_sim.hosts import firstboot

if TYPE_CHECKING:
    from aether_sim.datacentre import Datacentre
    from aether_sim.hosts.host import Host

HOST_TAG = "aether:host"
_UP = ("pending", "running")


class Ec2Hosts:
    """Brings hosts in step with instances, by the tag that names the host."""

    def __init__(self, datacentre: Datacentre, region: str) -> None:
        self.datacentre, self.region = datacentre, region
        self.instances: dict[str, str] = {}
        self._lock = asyncio.Lock()

    async def follow(self, url: str) -> None:
        """Look at every instance, and change the power of the hosts that are not as theirs."""
        async with self._lock:
            found = await asyncio.to_thread(self._instances, url)
            live = {name: facts for name, facts in found if facts["state"] != "terminated" and facts["state"] != "shutting-down"}
            for name in list(self.instances):
                if name not in live:
                    await self._destroy(name)
            for name, facts in live.items():
                await self._set(name, facts)

    async def _set(self, name: str, facts: dict[str, Any]) -> None:
        known = self.instances.get(name)
        if known is not None and known != facts["id"]:
            await self._destroy(name)
            known = None
        host = self.datacentre.hosts.get(name)
        if host is None or known is None:
            world = self.datacentre.world.hosts.get(name)
            if world is None:
                self.datacentre.log(f"aws: instance {facts['id']} is for {name}, which is not in the inventory")
                return
            host = self.datacentre.make_host(world)
            host.seed = seed_of(facts, name, world.users)
            self.instances[name] = facts["id"]
        if facts["state"] in _UP and host.state != "up":
            await host.power_on()
        elif facts["state"] not in _UP and host.state == "up":
            await host.power_off()

    async def reboot(self, identifier: str) -> None:
        """RebootInstances."""
        for name, known in self.instances.items():
            if known == identifier and (host := self._host(name)) is not None:
                await host.reboot()

    def _host(self, name: str) -> Host | None:
        return self.datacentre.hosts.get(name)

    async def _destroy(self, name: str) -> None:
        del self.instances[name]
        host = self._host(name)
        if host is not None:
            await host.destroy()

    def _instances(self, url: str) -> list[tuple[str, dict[str, Any]]]:
        """Every instance with a host's tag: name, id, state and user data."""
        import boto3  # type: ignore[import-untyped]

        ec2 = boto3.client(
            "ec2", region_name=self.region, endpoint_url=url, aws_access_key_id="simulator", aws_secret_access_key="simulator"
        )
        found = []
        for page in ec2.get_paginator("describe_instances").paginate():
            for reservation in page["Reservations"]:
                for instance in reservation["Instances"]:
                    tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}
                    if HOST_TAG not in tags:
                        continue
                    identifier = instance["InstanceId"]
                    attribute = ec2.describe_instance_attribute(InstanceId=identifier, Attribute="userData")
                    data = base64.b64decode(attribute.get("UserData", {}).get("Value", "") or "").decode()
                    found.append((tags[HOST_TAG], {"id": identifier, "state": instance["State"]["Name"], "data": data}))
        return found


def seed_of(facts: dict[str, Any], name: str, users: tuple[str, ...]) -> firstboot.Seed:
    """What first boot applies: cloud-init's document, or the lines that a NixOS image looks for."""
    text = facts["data"]
    if text.startswith("#cloud-config"):
        return firstboot.seed_of_user_data(text, facts["id"], next((user for user in users if user != "root"), "root"))
    lines = dict(line.partition(":")[::2] for line in text.splitlines())
    key = lines.get("SSH_HOST_ED25519_KEY", "").replace("|", "\n")
    return firstboot.Seed(instance=facts["id"], hostname=name, host_key=key or None)
