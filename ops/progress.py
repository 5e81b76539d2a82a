"""The engine's events as a person wants to read them: one line for each thing done, and the causes of failures at the end."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TextIO

from inventory.problems import some
from ops.causes import cause, code_of, without_consequences
from ops.events import Event, Operation, Remark

_WORDS = {
    "create": ("+", "created"),
    "update": ("~", "updated"),
    "delete": ("-", "deleted"),
    "replace": ("+-", "replaced"),
    "create-replacement": ("++", "created replacement"),
    "delete-replaced": ("--", "deleted original"),
    "discard": ("<", "discarded"),
    "discard-replaced": ("<<", "discarded original"),
    "remove-pending-replace": ("~", "completed replacement"),
    "read": (">", "read"),
    "read-replacement": (">>", "read replacement"),
    "import": ("=", "imported"),
    "import-replacement": ("=", "imported replacement"),
}
"""The sign of each operation that changes a resource, and what was done by it."""


@dataclass
class ProgressPrinter:
    """Is given the events one by one; prints as it goes. As a context manager it also says when it is still at work."""

    nodes: dict[str, str] = field(default_factory=dict)
    out: TextIO = field(default_factory=lambda: sys.stdout)
    planned: Mapping[str, int] = field(default_factory=dict)
    """How many resources of each name were to change, where that is known."""
    _said: set[str] = field(default_factory=set)
    _errors: dict[str, list[str]] = field(default_factory=dict)
    _program: list[str] = field(default_factory=list)
    _started: float = field(default_factory=time.monotonic)
    _last: float = field(default_factory=time.monotonic)
    _at_work: dict[str, tuple[Operation, float]] = field(default_factory=dict)
    _done: Counter[str] = field(default_factory=Counter)
    _broken: dict[str, None] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "ProgressPrinter":
        threading.Thread(target=self._remind, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()

    def feed(self, event: Event) -> None:
        match event:
            case {"resourcePreEvent": {"metadata": metadata}}:
                self._begin(Operation.of(metadata))
            case {"resOutputsEvent": {"metadata": metadata}}:
                self._end(Operation.of(metadata))
            case {"resOpFailedEvent": {"metadata": metadata}}:
                self._break(Operation.of(metadata))
            case {"diagnosticEvent": said}:
                self._hear(Remark.of(said))
            case {"policyEvent": {"enforcementLevel": "mandatory", **found}}:
                self._hear(
                    Remark("error", f"policy {found['policyName']}: {found['message']}", str(found.get("resourceUrn", "")))
                )
            case {"summaryEvent": {"resourceChanges": changes}}:
                self._sum_up(changes)

    def failures(self) -> list[str]:
        """One sentence for each resource that failed: which, and why. By name: which one failed first is chance."""
        return [f"{name}: {cause(name, text, self.nodes)}" for name in sorted(self._errors) if (text := self._told(name))]

    def codes(self) -> list[int]:
        """The exit codes of scripts that failed, each once, in the order of the resources' names."""
        found = (code_of(text) for _, said in sorted(self._errors.items()) for text in said)
        return list(dict.fromkeys(code for code in found if code is not None))

    def reached(self) -> str:
        """What was done and what was not, by name, once it is over."""
        open_ = list(dict.fromkeys([*self._broken, *(operation.name for operation, _ in self._at_work.values())]))
        done = [name for name in self._done if name not in open_]
        partly = [name for name in done if self._done[name] < self.planned.get(name, 0)]
        lines = [f"Done: {_listed([name for name in done if name not in partly])}."]
        lines += [f"Done in part, the rest waits for what failed: {_listed(partly)}."] if partly else []
        if waiting := sorted(name for name in self.planned if name not in done and name not in open_):
            lines.append(f"Not begun: {_listed(waiting)}.")
        after = "" if self.planned or not open_ else ", and what depends on it"
        return "\n".join([*lines, f"Not done: {_listed(open_)}{after}."])

    def _begin(self, operation: Operation) -> None:
        if not operation.is_ours and operation.op != "same":
            self._at_work[operation.urn] = operation, time.monotonic()

    def _end(self, ended: Operation) -> None:
        begun, since = self._at_work.pop(ended.urn, (ended, time.monotonic()))
        if ended.is_ours or ended.op not in _WORDS:
            return
        sign, done = _WORDS[ended.op]
        if begun.op == "refresh":
            # Read back, it is not as the state has it.
            done = "is gone" if ended.op == "delete" else "is otherwise than it was left"
        else:
            self._done[ended.name] += 1
        self._once(f"  {sign} {ended.kind} {ended.name} {done}{_took(time.monotonic() - since)}")

    def _break(self, failed: Operation) -> None:
        self._at_work.pop(failed.urn, None)
        self._broken[failed.name] = None
        self._once(f"  ! {failed.name}: {failed.kind} failed")

    def _hear(self, remark: Remark) -> None:
        if not remark.text:
            return
        if remark.severity == "error":
            self._errors.setdefault(remark.name, []).append(remark.text)
        elif remark.of_the_program:
            if remark.severity == "warning":
                # They say what it left as it is, and what to do.
                self._once(f"warning: {remark.text}")
            elif remark.severity == "info#err":
                self._program.append(remark.text)
        elif remark.severity.startswith("info"):
            # What a command says while it is at work, once.
            for line in remark.text.splitlines():
                self._once(f"    {line}")

    def _told(self, name: str) -> str:
        if name != "the program":
            return "\n".join(self._errors[name])
        told = without_consequences(self._errors[name])
        # Where it ended before it could speak to the engine, its own words are the cause.
        return "\n".join([*self._program, *told] if told and told == self._errors[name] else told)

    def _sum_up(self, changes: Mapping[str, int]) -> None:
        self._say("\nResources:")
        for op, count in changes.items():
            if op in _WORDS and count:
                self._say(f"    {_WORDS[op][0]} {count} {_WORDS[op][1]}")
        if same := changes.get("same"):
            self._say(f"    {same} unchanged")
        if self._broken:
            self._say(f"    {len(self._broken)} failed")

    def _once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(text)

    def _remind(self, every: float = 5) -> None:
        """A line whenever nothing was said for EVERY seconds: what is at work, and for how long."""
        while not self._over.wait(0.5):
            now = time.monotonic()
            if now - self._last >= every:
                shown = some(sorted({operation.name for operation, _ in [*self._at_work.values()]}), 6)
                self._say(f"    … {now - self._started:.0f} s{f', at work on {shown}' if shown else ''}")

    def _say(self, text: str) -> None:
        self._last = time.monotonic()
        print(text, file=self.out, flush=True)


def _took(seconds: float) -> str:
    return f" ({seconds:.0f}s)" if seconds >= 1 else ""


def _listed(names: list[str], most: int = 20) -> str:
    """NAMES in a line; "nothing" where there are none."""
    return some(names, most) or "nothing"
