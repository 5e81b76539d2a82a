"""The engine's events: what it does to each resource and what is said of it, one JSON document each.

They are the Automation API's (pkg/apitype, EngineEvent), had without its workspace and the two further calls of `pulumi` that it
makes: the engine writes them into a pipe. What it prints for people beside that is nobody's input.
"""

import contextlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

Event = Mapping[str, Any]

ENVIRONMENT = {"PULUMI_DEBUG_COMMANDS": "true"}
"""With this the engine knows `--event-log`, as the Automation API starts it."""

_COLOUR = re.compile(r"<\{%.*?%\}>")
_STACK = "pulumi:pulumi:Stack"


@dataclass(frozen=True)
class Operation:
    """What is done to one resource."""

    op: str
    urn: str
    type: str

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> "Operation":
        return cls(str(metadata["op"]), str(metadata["urn"]), str(metadata["type"]))

    @property
    def name(self) -> str:
        return name_of(self.urn)

    @property
    def kind(self) -> str:
        """Last part of the resource's type."""
        return self.type.rsplit(":", 1)[-1]

    @property
    def is_ours(self) -> bool:
        """Whether nothing outside the state is behind the resource: a component, the stack, a provider."""
        return self.type.startswith(("aether:", "pulumi:"))


@dataclass(frozen=True)
class Remark:
    """What is said of a resource, or of the program where URN is empty or the stack's: by the engine, a plugin or the program."""

    severity: str
    """info, info#err (a standard error), warning, error, debug."""
    text: str
    urn: str = ""

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> "Remark":
        return cls(str(said["severity"]), _COLOUR.sub("", str(said.get("message", ""))).rstrip(), str(said.get("urn") or ""))

    @property
    def of_the_program(self) -> bool:
        return not self.urn or f"::{_STACK}::" in self.urn

    @property
    def name(self) -> str:
        return "the program" if self.of_the_program else name_of(self.urn)


def name_of(urn: str) -> str:
    """The name of URN's resource."""
    return urn.rsplit("::", 1)[-1]


def steps_of(events: Iterable[Event]) -> list[dict[str, Any]]:
    """The steps that a preview's EVENTS tell, what stays too, with the keys of `pulumi preview --json`."""
    begun = (event["resourcePreEvent"]["metadata"] for event in events if "resourcePreEvent" in event)
    return [
        {
            "op": each["op"],
            "urn": each["urn"],
            "oldState": each.get("old"),
            "newState": each.get("new"),
            "replaceReasons": each.get("keys") or [],
            "detailedDiff": each.get("detailedDiff"),
        }
        for each in begun
    ]


class EventLog:
    """A pipe at PATH for `--event-log`; HEAR is called with each event as it comes, in a thread, until the engine has ended.

    COPY is a file that they are written to as well.
    """

    def __init__(self, path: Path, hear: Callable[[Event], None], copy: Path | None = None) -> None:
        self.path, self._hear, self._copy = path, hear, copy
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        self._pool = ThreadPoolExecutor(1)
        self._opened = threading.Event()
        self._reading: Future[None] | None = None

    def __enter__(self) -> "EventLog":
        self._reading = self._pool.submit(self._read)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # An engine that never opened it leaves the reader waiting: open it for once.
        pipe = os.open(self.path, os.O_RDWR)
        self._opened.wait()
        os.close(pipe)
        self._pool.shutdown()
        self.path.unlink(missing_ok=True)
        if error is None and self._reading:
            self._reading.result()

    def _read(self) -> None:
        with self.path.open(encoding="utf-8") as lines, self._copy.open("w") if self._copy else contextlib.nullcontext() as copy:
            self._opened.set()
            for line in lines:
                if copy:
                    copy.write(line)
                    copy.flush()
                self._hear(json.loads(line))
