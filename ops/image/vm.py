"""Booting a VM that Nix wrote a script for."""

import re
import shlex
from pathlib import Path

from ops.image import child
from ops.image.child import Say
from ops.stack import OpsError


def boot(host: str, output: Path, state: Path, say: Say, *, run: bool) -> int:
    """Says how to reach the VM, then boots it in STATE, where its disk stays; returns its exit code."""
    script = _script(host, output)
    for line in forwards(script.read_text()):
        say(f"  {line}")
    state.mkdir(parents=True, exist_ok=True)
    say(f"Disk: {state / host}.qcow2 (kept between runs; remove it to start over)")
    if not run:
        say(f"Boot it: cd {shlex.quote(str(state))} && {shlex.quote(str(script))}")
        return 0
    code, interrupted = child.run([str(script)], state, say, ends="The VM is switched off; what it wrote goes to its disk.")
    if interrupted:
        say("The VM is off. Its disk is kept.")
    return code


def forwards(script: str) -> list[str]:
    """Port forwards of a VM's run script, as lines for people."""
    found = re.findall(r"hostfwd=(tcp|udp):([0-9.]*):([0-9]+)-[0-9.]*:([0-9]+)", script)
    return [f"{_where(address)}:{outside} -> port {inside}/{protocol}" for protocol, address, outside, inside in found]


def _where(address: str) -> str:
    if address.startswith("127."):
        return "localhost"
    return "every address of this machine" if address in ("", "0.0.0.0") else address


def _script(host: str, output: Path) -> Path:
    """The script of this host, or the only one."""
    found = sorted((output / "bin").glob("run-*-vm"))
    own = [script for script in found if script.name == f"run-{host}-vm"] or found
    if len(own) != 1:
        names = ", ".join(script.name for script in found) or "none"
        raise OpsError(f"{output}/bin should hold one script run-*-vm, and has: {names}")
    return own[0]
