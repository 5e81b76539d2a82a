"""A virtual machine that is on: what it shows on its serial ports, and QEMU's machine protocol."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Boot:
    """One time that the machine is on."""

    def __init__(self, process: subprocess.Popen[bytes], work: Path) -> None:
        self.process, self.work = process, work

    def _read(self, name: str) -> str:
        return (self.work / name).read_text(errors="replace").replace("\r", "")

    @property
    def console(self) -> str:
        """First serial port: firmware, boot loaders, kernel."""
        return self._read("console")

    @property
    def result(self) -> str:
        """Second serial port: what the payload prints."""
        return self._read("result")

    def until(self, holds: Callable[[], bool], seconds: int, what: str) -> None:
        """Wait for a condition; fails with both ports' last lines."""
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, (
                f"waited {seconds} s for {what}\n{(self.work / 'qemu.log').read_text()[-2000:]}\n"
                f"console: {self.console[-3000:]}\nresult: {self.result[-3000:]}"
            )
            time.sleep(0.2)

    def ask(self, command: str, **arguments: object) -> dict[str, Any]:
        """One command of QEMU's machine protocol (QMP); what it returned."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            # A path of a socket has at most 107 characters.
            connection.connect(os.path.relpath(self.work / "qmp") if len(str(self.work)) > 90 else str(self.work / "qmp"))
            with connection.makefile("rw") as stream:
                stream.readline()
                answer: dict[str, Any] = {}
                for each in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                    stream.write(json.dumps(each) + "\n")
                    stream.flush()
                    answer = {"event": None}
                    while "event" in answer:
                        answer = json.loads(stream.readline())
                    assert "return" in answer, answer
                returned = answer["return"]
                return dict(returned) if isinstance(returned, dict) else {}

    def press(self, key: str) -> None:
        """A key of the keyboard, by QEMU's name of it."""
        self.ask("send-key", keys=[{"type": "qcode", "data": key}])

    def picture(self) -> Path:
        """What the screen shows, as a PNG."""
        path = self.work / "screen.png"
        self.ask("screendump", filename=str(path), format="png")
        return path
