"""Waves of one deployment in the graph: no host of a wave is touched before the wave before it is through."""

import asyncio
import hashlib
from types import TracebackType

import pulumi
from pulumi.runtime.sync_await import _ensure_event_loop

from components.ansible.playbook import Playbook
from components.atomic.host import AtomicHost
from components.base import Operator, Text
from components.home.bootstrap import HomeBootstrap
from components.nixos.system import NixosSystem
from components.rollout.soak import Soak, SoakArgs
from inventory.load import Inventory
from stacks.rollout import waves
from stacks.settings import Settings

Deployment = NixosSystem | AtomicHost | Playbook | HomeBootstrap


class Waves:
    """What holds the waves of a stack apart. A context: the ends of waves are registered once all deployments are.

    NixOS systems, Atomic images, playbooks and homes are registered kind by kind, and a wave has hosts of every kind. So a
    deployment waits for a promise of the end of the wave before its own, which is kept when the context ends.
    """

    def __init__(self, settings: Settings, inventory: Inventory, operator: Operator) -> None:
        self.inventory = inventory
        self.operator = operator
        self.waves = waves(inventory, settings.phase)
        self._wave = {name: number for number, wave in enumerate(self.waves) for name in wave.hosts}
        self._deployments: dict[int, list[tuple[str, Deployment]]] = {}
        loop = _ensure_event_loop()  # type: ignore[no-untyped-call]
        self._ends: list[asyncio.Future[Soak]] = [loop.create_future() for _ in self.waves[1:]]

    def before(self, host: str) -> list[pulumi.Input[pulumi.Resource]]:
        """What a deployment of HOST waits for."""
        number = self._wave.get(host, 0)
        return [self._ends[number - 1]] if number else []

    def took(self, host: str, deployment: Deployment) -> None:
        """Say that DEPLOYMENT is one of HOST's: the end of its wave waits for it."""
        self._deployments.setdefault(self._wave.get(host, 0), []).append((host, deployment))

    def __enter__(self) -> "Waves":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        ended: Soak | None = None
        for number, end in enumerate(self._ends):
            if error is not None:
                # Who waits for it would wait for ever, and the program with them.
                end.set_exception(error)
                end.exception()  # Nobody may wait for it: asyncio would say so at length.
                continue
            ended = self._end(number, ended)
            end.set_result(ended)

    def _end(self, number: int, before: Soak | None) -> Soak:
        wave = self.waves[number]
        hosts = self.inventory.managed()
        took = self._deployments.get(number, [])
        left = {f"{host} {type(deployment).__name__}": left_with(deployment) for host, deployment in took}
        return Soak(
            f"after-{wave.name if number == 0 else f'wave-{wave.name}'}",
            SoakArgs(
                hosts={host: hosts[host] for host, _ in took},
                # What the first wave proved, the others have health checks and a settle of their own for.
                seconds=self.inventory.rollout.soak if number == 0 else 0,
                left=left,
                operator=self.operator,
            ),
            opts=pulumi.ResourceOptions(depends_on=[*([before] if before else []), *(deployment for _, deployment in took)]),
        )


def left_with(deployment: Deployment) -> Text:
    """What DEPLOYMENT left its host with: another text for another system, image or content of a playbook."""
    match deployment:
        case NixosSystem():
            return deployment.closure
        case AtomicHost():
            return pulumi.Output.concat(deployment.booted, deployment.staged)
        case HomeBootstrap():
            return left_with(deployment.playbook)
        case _:
            return pulumi.Output.all(deployment.run.stdin, deployment.recap).apply(
                lambda texts: hashlib.sha256("\n".join(str(text) for text in texts).encode()).hexdigest()
            )
