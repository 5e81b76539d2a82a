"""Who is left an order, and when: at the end of an `up` that ended well."""

import getpass
import re
import socket
import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from components.nixos.desired import EvaluationError
from inventory.building import Cache
from inventory.files import REPOSITORY
from inventory.load import Inventory
from inventory.models import NixosHost, NixosMetal, takes_orders
from ops import hosts
from ops.orders.document import NONE, Order, parsed, signed
from ops.orders.place import Place
from ops.stack import OpsError, Stack
from ops.wanted import wanted_closures

LIFE = 30 * 86400
"""Seconds for which an order is good; one that has not half of it left is renewed."""
GLANCE = 3
"""Seconds that the cache is given where somebody only looks."""


def takers(inventory: Inventory, phase: int | None = None) -> dict[str, NixosMetal]:
    """The hosts that take orders while they are away."""
    cache = inventory.content.cache
    return {
        name: host
        for name, host in inventory.managed(phase).items()
        if isinstance(host, NixosMetal) and takes_orders(host, cache)
    }


def said_of_away(inventory: Inventory, names: Collection[str]) -> list[str]:
    """What it means that the hosts of these NAMES are away, a line each kind."""
    ordered = [name for name in names if name in takers(inventory)]
    waiting = [name for name in names if name not in ordered]
    without = [name for name in waiting if isinstance(inventory.hosts[name], NixosHost)]
    found = []
    if waiting:
        verb, theirs, them = _words(waiting)
        found.append(f"{', '.join(waiting)} {verb} away: {theirs} changes wait for the first run that finds {them}")
    if without:
        found.append(f"A [cache] over HTTP would let {', '.join(without)} take them alone (docs/rollout.md)")
    if ordered:
        verb, theirs, them = _words(ordered)
        found.append(f"{', '.join(ordered)} {verb} away: {theirs} changes are left at the cache for {them} to take")
    return found


def foreseen(stack: Stack, inventory: Inventory, steps: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """What becomes of a change of a system, by the STEPS of a preview, where its host is away. Nobody is asked whether it is."""
    from components.requests import DeployRequest

    asked = (DeployRequest.fields_of(step.get("newState")) for step in steps if step["op"] in ("create", "update"))
    changed = {fields["host"] for fields in asked if fields}
    ordered = takers(inventory, stack.phase)
    found = {}
    for name, host in inventory.managed(stack.phase).items():
        if name in changed and getattr(host, "roams", False):
            left = "it is left an order, and takes the change alone" if name in ordered else "the change waits for the next `up`"
            found[name] = f"may be away: then {left}"
    return found


def lying(inventory: Inventory) -> dict[str, Order]:
    """The orders at the cache, by host, as far as it answers. Their signatures are not looked at: for people, who only look."""
    cache = inventory.content.cache
    names = list(takers(inventory))
    if not cache or not names:
        return {}
    place = Place(cache.push)

    def look(name: str) -> Order | None:
        try:
            return parsed(place.read(name, GLANCE) or "")
        except (OpsError, OSError):
            return None

    with ThreadPoolExecutor(8) as pool:
        found = dict(zip(names, pool.map(look, names), strict=True))
    return {name: order for name, order in found.items() if order and not order.withdrawn}


def leave(
    stack: Stack, inventory: Inventory, away: Collection[str], but: Collection[str], say: Callable[[str], None]
) -> list[str]:
    """Leave each host that is AWAY what it should become; take back what was left for one that is here. Not for those in BUT,
    whose turn has not come. What could not be done, in words.
    """
    cache = inventory.content.cache
    chosen = {name: host for name, host in takers(inventory, stack.phase).items() if name not in but}
    if not cache or not chosen:
        return []
    try:
        office = _Office.of(stack, inventory, cache, chosen)
    except OpsError as error:
        return [f"{', '.join(chosen)}: no order could be left: {error}"]
    failed = []
    for name, host in chosen.items():
        try:
            said = office.settle(name, host, away=name in away)
        except OpsError as error:
            failed.append(f"{name}: no order could be left: {error}")
        else:
            if said:
                say(f"{name}: {said}.")
    return failed


@dataclass
class _Office:
    """What is needed to leave orders of one stack."""

    stack: Stack
    place: Place
    key: str
    wanted: Mapping[str, str]
    """What each host should be told to have become, by the repository."""
    known: Mapping[str, str]
    """What each host was deployed last, by the state."""

    @classmethod
    def of(cls, stack: Stack, inventory: Inventory, cache: Cache, chosen: Mapping[str, NixosMetal]) -> "_Office":
        try:
            wanted = wanted_closures(stack, inventory, chosen)
        except EvaluationError as error:
            raise OpsError(str(error)) from None
        from components.requests import DeployRequest

        asked = (DeployRequest.fields_of(resource) for resource in stack.recorded())
        known = {fields["host"]: fields["desired"] for fields in asked if fields}
        return cls(stack, Place(cache.push), _key(stack), wanted, known)

    def settle(self, name: str, host: NixosMetal, *, away: bool) -> str:
        """Leave, renew or take back the order of host NAME, or let it lie; what was done, in words.

        Raises:
            OpsError: it could not be done.
        """
        now = int(time.time())
        there = self._lying(name)
        wanted = self.wanted[name]
        asks = there is not None and not there.withdrawn
        if not away:
            if not there or not asks:
                return ""
            if there.desired == wanted:
                self._put(Order(name, NONE, NONE, _by(), "-", max(now, there.at + 1), now, now + LIFE, 1, 0))
                return "is here, and its order is taken back"
            # It may have taken what nobody wants any more, and the state does not know.
        elif there and there.desired == wanted and there.expires - now > LIFE // 2:
            return "its order lies at the cache already"
        elif not asks and self.known.get(name) == wanted:
            return ""
        closure, revision = self._built(name, host)
        since = there.since if there and there.desired == wanted else now
        order = Order(
            host=name,
            closure=closure,
            desired=wanted,
            by=_by(),
            revision=revision,
            at=max(now, there.at + 1 if there else 0),
            since=since,
            expires=now + LIFE,
            window=host.confirm_timeout,
            settle=host.settle,
            may_fail=" ".join(host.may_fail),
        )
        self._put(order)
        return f"is left an order for {closure}"

    def _put(self, order: Order) -> None:
        self.place.write(order.host, signed(order, self.key))

    def _lying(self, name: str) -> Order | None:
        """The order of host NAME at the cache, also one that takes another back; None where it is not the fleet's."""
        document = self.place.read(name)
        order = parsed(document) if document else None
        # Signatures of this kind are the same each time.
        return order if order and signed(order, self.key) == document else None

    def _built(self, name: str, host: NixosMetal) -> tuple[str, str]:
        """Closure and revision of host NAME, whose system is at the cache then."""
        from components.base import Operator
        from components.requests import OrderRequest

        stack = self.stack
        request = OrderRequest(
            host=name,
            operator=Operator(
                ssh_config=str(hosts.ssh_config(stack.name).relative_to(REPOSITORY)),
                secrets=_secrets(stack),
                nix=stack.setting("nix") or "nix",
            ),
            flake=host.flake or name,
            desired=self.wanted[name],
            build_on=host.build_on,
        )
        environment = {**stack.environment(), **request.variables()}
        done = subprocess.run(
            [request.program()],
            cwd=REPOSITORY,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise OpsError(f"{request.program()} ended with {done.returncode} (above)")
        closure, revision = done.stdout.split()
        return closure, revision


def _key(stack: Stack) -> str:
    """The fleet's signing key.

    Raises:
        OpsError: it cannot be read.
    """
    file = f"{_secrets(stack)}/fleet.yaml"
    line = ["sops", "decrypt", "--extract", '["nix-signing-key"]', file]
    try:
        done = subprocess.run(line, cwd=REPOSITORY, env=stack.environment(), capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise OpsError("sops is not installed. Fix: ./aether engine ensure, or install it (https://getsops.io)") from None
    if done.returncode:
        raise OpsError(f"sops cannot decrypt {file}. Fix: set SOPS_AGE_KEY_FILE to a key that it is encrypted to")
    return done.stdout.strip()


def _secrets(stack: Stack) -> str:
    return stack.setting("secrets") or "secrets"


def _by() -> str:
    """Who leaves it, in what an order may hold."""
    return re.sub(r"[^a-zA-Z0-9@._-]", "-", f"{getpass.getuser()}@{socket.gethostname()}")[:200]


def _words(names: Collection[str]) -> tuple[str, str, str]:
    return ("is", "its", "it") if len(names) == 1 else ("are", "their", "them")
