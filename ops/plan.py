"""What a preview says will happen, as something that can be agreed to: saved, compared, and searched for what would be lost."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.stack import OpsError

Step = dict[str, Any]
VERSION = 1
_REPLACES = ("replace", "create-replacement", "delete-replaced")
_DELETES = ("delete", "discard", "discard-replaced", "remove-pending-replace")
# Last part of a resource's type: what holds data, or is known to the world by what it is.
HOLDS = {
    "vmlegacy": "virtual machine",
    "vm": "virtual machine",
    "containerlegacy": "container",
    "container": "container",
    "instance": "machine",
    "server": "machine",
    "droplet": "machine",
    "volume": "volume",
    "snapshot": "snapshot",
    "bucket": "bucket",
    "bucketv2": "bucket",
    "eip": "address",
    "elasticip": "address",
    "primaryip": "address",
    "floatingip": "address",
    "reservedip": "address",
    "zone": "zone",
    "domain": "zone",
    "repository": "repository",
    "pool": "pool",
}
_SECRET = "4dabf18193072939515e22adb298388d"


@dataclass(frozen=True, order=True)
class Loss:
    """One thing that a change would destroy. OPTION is what names it: replace or delete."""

    option: str
    name: str
    what: str
    why: str = ""

    def __str__(self) -> str:
        verb = "is replaced by a new one" if self.option == "replace" else "is destroyed"
        return f"{self.what} {self.name} {verb}{f', because of {self.why}' if self.why else ''}: what it holds is lost"


def losses(steps: Iterable[Step]) -> list[Loss]:
    """What the STEPS of `pulumi preview --json` would destroy, each once."""
    found: dict[tuple[str, str], Loss] = {}
    for step in steps:
        what = HOLDS.get(kind(step).rsplit(":", 1)[-1].lower())
        if what is None and not (step.get("oldState") or {}).get("protect"):
            continue
        option = "replace" if step["op"] in _REPLACES else "delete" if step["op"] in _DELETES else ""
        if option:
            why = ", ".join(map(str, step.get("replaceReasons") or []))
            key = (what or kind(step), name(step))
            # A replacement is told in up to three steps; the one with the reason says most.
            if key not in found or (why and not found[key].why):
                found[key] = Loss(option, name(step), what or kind(step).rsplit(":", 1)[-1], why)
    return sorted(found.values())


def unnamed(found: Iterable[Loss], *, replace: Sequence[str], delete: Sequence[str]) -> list[Loss]:
    """Those of the losses that nobody named. To have it destroyed is to have it replaced, but not the other way round."""
    return [
        loss
        for loss in found
        if loss.name not in delete and not (loss.option == "replace" and loss.name in replace)
    ]  # fmt: skip


def changing(steps: Iterable[Step]) -> list[Step]:
    """The steps that do something to a resource outside the state."""
    ours = ("aether:", "pulumi:")
    return [step for step in steps if step["op"] not in ("same", "read", "refresh") and not kind(step).startswith(ours)]


def counts(steps: Iterable[Step]) -> Counter[str]:
    """How many resources of each name the STEPS change; a replacement, told in several steps, is one."""
    return Counter(name(step) for step in changing(steps) if step["op"] not in ("create-replacement", "delete-replaced"))


def save(path: Path, stack: str, steps: Iterable[Step]) -> None:
    """Write the plan of STEPS to PATH. It holds digests and names, no value of any property."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": VERSION, "stack": stack, "steps": digests(steps)}, indent=1) + "\n")


def compare(path: Path, stack: str, steps: Iterable[Step]) -> None:
    """Nothing, if STEPS are exactly those of the plan at PATH.

    Raises:
        OpsError: naming what is another thing than was agreed to.
    """
    again = f"Fix: make preview STACK={stack} ARGS='--save-plan {path}', look at it, and `up` again"
    try:
        saved = json.loads(path.read_text())
    except OSError as error:
        raise OpsError(f"{path}: {error.strerror}. {again}") from None
    except ValueError:
        raise OpsError(f"{path} is no plan. {again}") from None
    if not isinstance(saved, dict) or saved.get("version") != VERSION or not isinstance(saved.get("steps"), dict):
        raise OpsError(f"{path} is no plan of this version. {again}")
    if saved["stack"] != stack:
        raise OpsError(f"{path} is a plan of stack {saved['stack']}, this is {stack}. {again}")
    planned, found = saved["steps"], digests(steps)
    differing = [
        *(f"  not planned: {what}" for what in found if what not in planned),
        *(f"  no longer:   {what}" for what in planned if what not in found),
        *(f"  otherwise:   {what}" for what in found if what in planned and planned[what] != found[what]),
    ]
    if differing:
        raise OpsError("\n".join([f"What would happen now is not what {path} says. Nothing was changed.", *differing, again]))


def digests(steps: Iterable[Step]) -> dict[str, str]:
    """Operation and resource of each step that changes something, to a digest of what it is changed to."""
    found = {}
    for step in changing(steps):
        what = _plain({"inputs": (step.get("newState") or {}).get("inputs"), "diff": sorted(step.get("detailedDiff") or {})})
        # A replacement's steps may come in any order; each is a line of its own.
        found[f"{step['op']} {step['urn'].split('::', 2)[2]}"] = hashlib.sha256(
            json.dumps(what, sort_keys=True).encode()
        ).hexdigest()[:16]
    return dict(sorted(found.items()))


def kind(step: Step) -> str:
    """Type of the step's resource, without its parents'."""
    return str(step["urn"].split("::")[2].rsplit("$", 1)[-1])


def name(step: Step) -> str:
    """Name of the step's resource: the host, for what belongs to one."""
    return str(step["urn"].rsplit("::", 1)[1])


def _plain(value: Any) -> Any:
    """VALUE without secrets, which are encrypted differently each time."""
    if isinstance(value, dict):
        return "[secret]" if _SECRET in value else {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
