"""One named secret rotated: where its service takes two at a time, the new one is accepted, then used, then the old one goes.

What is in between stands in secrets/rotating.toml, names and dates alone; the new value beside the old one, as KEY-next.
"""

import json
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from inventory.files import write_whole
from inventory.generate import MAKERS, public_half, read_names
from inventory.keeping import Secret, by_hand, secrets
from inventory.problems import did_you_mean
from inventory.secret_manager import SecretManager

NEXT = "-next"
FILE = "rotating.toml"
RUNS = Path(".aether/runs")
"""Where deployments from this checkout are noted, a line of JSON each (ops/runs.py)."""
_HEAD = "# Secrets that are being rotated (./aether secrets rotate NAME): how far, and since when. No value.\n"
ACCEPTED, USED = "accepted", "used"
_MEANS = {
    ACCEPTED: "the new one is accepted beside the old one, which is used",
    USED: "the new one is used, the old one still accepted",
}


@dataclass(frozen=True)
class Between:
    """How far one is."""

    stage: str
    since: datetime


class Rotating:
    """The secrets below ROOT that are in between, by what they share their value under."""

    def __init__(self, root: Path) -> None:
        self._path = root / FILE
        said = tomllib.loads(self._path.read_text()) if self._path.exists() else {}
        self.found = {name: Between(each["stage"], each["since"]) for name, each in said.items()}

    def note(self, shared: str, stage: str | None) -> None:
        """SHARED has come to STAGE; None: it is done."""
        self.found.pop(shared, None)
        if stage:
            self.found[shared] = Between(stage, datetime.now(UTC).replace(microsecond=0))
        lines = [
            f"{json.dumps(name)} = {{ stage = {json.dumps(each.stage)}, since = {each.since.isoformat()} }}\n"
            for name, each in sorted(self.found.items())
        ]
        if lines:
            write_whole(self._path, _HEAD + "".join(lines))
        else:
            self._path.unlink(missing_ok=True)


def said_of(between: Between | None) -> str:
    """For a listing: what is in between; empty where nothing is."""
    return f"; being rotated: {_MEANS[between.stage]} (since {between.since:%Y-%m-%d})" if between else ""


def rotate(manager: SecretManager, name: str) -> list[str]:
    """Begin to rotate the secret NAME (HOST/KEY); where its service has one value alone, do it.

    Raises:
        ValueError: there is no such secret, it is in between already, or nothing but its service can make another one.
    """
    names, sides = read_names(manager.store.root), _sides(manager, name)
    first, rotating = sides[0], Rotating(manager.store.root)
    if first.shared in rotating.found:
        raise ValueError(f"{name} is being rotated: {_MEANS[rotating.found[first.shared].stage]}. Fix: --finish, after make up")
    if names.takes_two(_plain(manager, first)) and first.public:
        value = MAKERS[first.kind]()
        for side in sides:
            manager.store.set(side.file, _path(side.key + NEXT), value)
        _publish(manager, first, [_value(manager, first), value])
        rotating.note(first.shared, ACCEPTED)
        print(f"{name}: {first.public} has the new one, too. Now make up, for every stack; then")
        print(f"  ./aether secrets rotate {name} --finish")
        return []
    why = names.one_alone(_plain(manager, first))
    if not why and not first.rotates:
        raise ValueError(f"{name} is not rotated here. Fix: {by_hand(first)}")
    value = MAKERS[first.kind]()
    for side in sides:
        manager.store.set(side.file, _path(side.key), value)
        if side.public:
            _publish(manager, side, [value])
        print(f"{side.name}: rotated")
    print(f"It cannot have two values: {why or 'its service knows one'}.")
    print(f"Deploy {_hosts(sides)} in one make up; nothing is left to finish")
    return []


def finish(manager: SecretManager, name: str, *, deployed_elsewhere: bool = False, runs: Path = RUNS) -> list[str]:
    """The next step of a secret that is in between, once a deployment since the last one was healthy (or DEPLOYED_ELSEWHERE).

    Raises:
        ValueError: it is not in between, or no deployment was healthy since.
    """
    sides = _sides(manager, name)
    first, rotating = sides[0], Rotating(manager.store.root)
    between = rotating.found.get(first.shared)
    if between is None:
        raise ValueError(f"{name} is not being rotated. Fix: ./aether secrets rotate {name}")
    if not deployed_elsewhere and not _healthy_since(runs, between.since):
        since = f"{between.since:%Y-%m-%d %H:%M} UTC"
        raise ValueError(
            f"{name}: no up from this checkout was healthy since {since}, when this became so: {_MEANS[between.stage]}. "
            "Fix: make up; or --deployed-elsewhere, if every host was deployed from elsewhere and is healthy"
        )
    if between.stage == USED:
        _publish(manager, first, [_value(manager, first)])
        rotating.note(first.shared, None)
        print(f"{name}: {first.public} has the new one alone. make up takes the old one from every host")
        return []
    old, value = _value(manager, first), next(value for side in sides if (value := _next(manager, side)))
    for side in sides:
        manager.store.set(side.file, _path(side.key), value)
    _publish(manager, first, [value, old] if old != value else None)
    rotating.note(first.shared, USED)
    for side in sides:
        manager.store.unset(side.file, _path(side.key + NEXT))
    print(f"{name}: the new one is used from the next make up on; then once more ./aether secrets rotate {name} --finish")
    return []


def _sides(manager: SecretManager, name: str) -> list[Secret]:
    """The values that are the secret NAME: both sides of it."""
    every = [secret for secret in secrets(manager) if not secret.key.endswith(NEXT)]
    named = next((secret for secret in every if secret.name == name), None)
    if named is None:
        known = [secret.name for secret in every]
        raise ValueError(f"there is no secret '{name}'{did_you_mean(name, known)}. Fix: a name that ./aether secrets list shows")
    return [secret for secret in every if secret.shared == named.shared]


def _plain(manager: SecretManager, secret: Secret) -> str:
    """HOST/KEY as names.toml has it: of the base's host."""
    return f"{manager.origin(secret.name.split('/')[0])[0]}/{secret.key}"


def _publish(manager: SecretManager, secret: Secret, values: Sequence[str] | None) -> None:
    """Write the public halves of VALUES, the used one first; None leaves what a step that broke off wrote."""
    if values and secret.public:
        lines = "".join(f"{public_half(secret.kind, value)}\n" for value in values)
        write_whole(manager.store.root.parent / secret.public, lines)


def _value(manager: SecretManager, secret: Secret) -> str:
    return _at(manager, secret.file, secret.key)


def _next(manager: SecretManager, secret: Secret) -> str:
    return _at(manager, secret.file, secret.key + NEXT)


def _at(manager: SecretManager, file: str, key: str) -> str:
    found = manager.store.read(file)
    for part in _path(key):
        found = found.get(part, {}) if isinstance(found, dict) else {}
    return str(found or "")


def _path(key: str) -> tuple[str, ...]:
    return tuple(key.split("."))


def _hosts(sides: Iterable[Secret]) -> str:
    return ", ".join(sorted({host for side in sides for host in (*side.readers, side.name.split("/")[0])}))


def _healthy_since(folder: Path, since: datetime) -> bool:
    """Whether an `up` that began after SINCE succeeded: it ends so only where every host that it changed was healthy."""
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text().splitlines():
            try:
                run = json.loads(line)
                good = run["result"] == "succeeded" and run["command"] == "up" and run["at"] - run["seconds"] >= since.timestamp()
            except (ValueError, KeyError, TypeError):
                continue
            if good:
                return True
    return False
