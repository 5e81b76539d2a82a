"""Faults of one host, by name."""

from __future__ import annotations

import json
from typing import Protocol

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from aether_sim.hosts.offer import Offer
from aether_sim.paths import write_atomic

CATALOGUE = {
    "health": "service units of a newly activated system fail a moment after they start",
    "ssh-lost": "SSH stops answering once a new system is active; the former system answers again",
    "disk-full": "writing a copy to the host ends with ENOSPC",
    "wrong-host": "another host name answers at the address",
    "key-mismatch": "the host answers with another SSH host key",
    "unreachable": "nothing answers on SSH",
    "no-boot": "a system other than the one running now does not come up after a reboot",
    "boot-hangs": "a system other than the one running now hangs in its boot, until the machine is reset",
    "lease": "the router gives a guest that asks for its address another one than is reserved for its card",
    "boot-slow": "booting takes VALUE seconds longer (default 5)",
    "greenboot-red": "greenboot's required checks fail on a newly booted deployment",
    "no-boot-counting": "the boot loader does not count the boots that greenboot lets fail",
    "bad-signature": "the image's signature does not verify",
}


class HostFaults:
    """Which faults are on; some hold only for systems other than the one that ran when they were set."""

    def __init__(self, host: Offer) -> None:
        self._host = host
        self._on: dict[str, str] = {}
        self._good: dict[str, str | None] = {}
        self._foreign_key: bytes | None = None

    def has(self, name: str) -> bool:
        """Whether a fault is on."""
        return name in self._on

    def value(self, name: str, default: float) -> float:
        """The number given with a fault."""
        try:
            return float(self._on[name])
        except (KeyError, ValueError):
            return default

    def listing(self) -> dict[str, str]:
        """The faults that are on, with their values."""
        return dict(self._on)

    async def switch(self, name: str, on: bool, value: str = "") -> None:
        """Turn a fault on or off. Raises KeyError for a name that is not in the catalogue."""
        if name not in CATALOGUE:
            raise KeyError(name)
        if on:
            self._on[name] = value
            self._good[name] = self.running_system()
        else:
            self._on.pop(name, None)
        self.publish()
        if self._host.pid:
            if name == "wrong-host":
                await self._host.set_hostname("some-other-host" if on else self._host.facts.name)
            if name in ("key-mismatch", "ssh-lost", "unreachable", "lease"):
                await self._host.reconsider_ssh()

    def moved_to(self, host: Offer) -> HostFaults:
        """The same faults for another host: one that takes this one's place."""
        self._host = host
        return self

    def running_system(self) -> str | None:
        """What runs now: the NixOS system closure or the booted ostree deployment."""
        # A host that answers on SSH may still be starting its last services.
        return running_system(self._host) if self._host.pid else None

    def _is_new(self, name: str) -> bool:
        good = self._good.get(name)
        return good is None or running_system(self._host) != good

    def unhealthy(self, unit: str) -> bool:
        """Whether a simulated service crashes."""
        if not self.has("health") or not self._is_new("health"):
            return False
        only = self._on["health"]
        return not only or only in (unit, unit.removesuffix(".service"))

    def hides_ssh(self) -> bool:
        """Whether SSH does not answer."""
        return self.has("unreachable") or self._host.is_elsewhere() or (self.has("ssh-lost") and self._is_new("ssh-lost"))

    def refuses_to_boot(self, system: str | None) -> bool:
        """Whether this system does not come up."""
        return self.has("no-boot") and (system is None or system != self._good.get("no-boot"))

    def hangs_in_boot(self, system: str) -> bool:
        """Whether this system's boot comes to no end, and to no reset of its own."""
        return self.has("boot-hangs") and system != self._good.get("boot-hangs")

    def host_key(self, own: bytes) -> bytes:
        """The host key that sshd serves."""
        if not self.has("key-mismatch"):
            return own
        if self._foreign_key is None:
            self._foreign_key = Ed25519PrivateKey.generate().private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
            )
        return self._foreign_key

    def publish(self) -> None:
        """Let the host's own fakes know, by a file beside the agent's socket."""
        directory = self._host.directory / "agent"
        if directory.exists():
            state = {name: {"value": value, "good": self._good.get(name)} for name, value in self._on.items()}
            write_atomic(directory / "faults.json", json.dumps(state).encode(), 0o644)


class Faulty(Offer, Protocol):
    """A host that has them."""

    @property
    def faults(self) -> HostFaults: ...


def running_system(host: Offer) -> str | None:
    """The target of /run/current-system, or the booted deployment of an ostree host."""
    link = host.root.readlink("/run/current-system")
    if link is not None:
        return link
    return host.root.read_text("/run/aether-sim-deployment", "").strip() or None
