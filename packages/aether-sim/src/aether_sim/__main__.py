"""`./aether sim`: start, stop and ask the simulated datacentre."""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from aether_sim import control
from aether_sim.paths import REPO, SOURCES, TOGETHER, SimPaths, start_time

# As ops/setup.py says it before anything is made.
NEEDS_ROOT = "it needs root: its hosts have users, mounts and ports below 1024 of their own. Fix: sudo ./aether sim …"
START_TIMEOUT = 120.0
STOP_TIMEOUT = 30.0


def main(argv: list[str] | None = None) -> int:
    """Run one command; exit code 0 when it is done."""
    arguments = _parser().parse_args(argv)
    if platform.system() != "Linux":
        return _complain("the simulator needs Linux (namespaces, overlay file systems); the program itself runs anywhere")
    if arguments.run in (_start, _restart) and os.geteuid() != 0:
        return _complain(NEEDS_ROOT)
    paths = SimPaths.of_checkout()
    try:
        return int(arguments.run(paths, arguments))
    except (control.NotRunning, control.Failed) as error:
        return _complain(str(error))


def _complain(message: str) -> int:
    print(f"sim: {message}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="aether sim", description="The simulated datacentre (Linux only).")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, function, text in (
        ("start", _start, "start it in the background, or heal what a killed run left"),
        ("restart", _restart, "stop and start"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--stack", default="sim", help="stack whose configuration is written (default: sim)")
        command.add_argument("--inventory", action="append", default=[], metavar="FILE", help="inventory file; repeatable")
        command.add_argument("--boot-seconds", type=float, default=0.3, help="how long guests take to boot (default 0.3)")
        command.add_argument("--services", metavar="NAMES", help="aws,github,registry: those alone; empty: none (default: all)")
        command.add_argument("--quiet", action="store_true", help="print nothing when all is well")
        command.set_defaults(run=function)
    commands.add_parser("stop", help="stop it; guests, disks and keys stay").set_defaults(run=_stop)
    status = commands.add_parser("status", help="what runs where")
    status.add_argument("--json", action="store_true")
    status.set_defaults(run=_status)
    fault = commands.add_parser("fault", help="switch a fault on or off")
    fault.add_argument("target", nargs="?", metavar="HOST", help="host, node, or proxmox")
    fault.add_argument("name", nargs="?", metavar="NAME[=VALUE]")
    fault.add_argument("--off", action="store_true", help="switch it off")
    fault.add_argument("--clear", action="store_true", help="switch all faults off")
    fault.add_argument("--list", action="store_true", help="faults that are on, and all that there are")
    fault.add_argument("--json", action="store_true")
    fault.set_defaults(run=_fault)
    power = commands.add_parser("power", help="pull or restore the plug of a host that is not a guest")
    power.add_argument("host")
    power.add_argument("action", choices=("on", "off", "reboot"))
    power.set_defaults(run=_power)
    commands.add_parser("reset", help="stop, and forget guests, disks, settings and faults; keys stay").set_defaults(run=_reset)
    serve = commands.add_parser("_serve")
    serve.add_argument("options")
    serve.set_defaults(run=_serve)
    return parser


def _serve(paths: SimPaths, arguments: argparse.Namespace) -> int:
    from aether_sim import supervisor

    return supervisor.main(paths, supervisor.options_of([arguments.options]))


def _running(paths: SimPaths) -> int | None:
    """Process id of the supervisor, if the one that was recorded still runs."""
    try:
        recorded = json.loads(paths.pid.read_text())
        pid, start = int(recorded["pid"]), int(recorded["start"])
    except (OSError, ValueError, KeyError):
        return None
    return pid if start and start_time(pid) == start else None


def _start(paths: SimPaths, arguments: argparse.Namespace) -> int:
    options = {
        "stack": arguments.stack,
        "inventories": [str(Path(path).resolve()) for path in arguments.inventory],
        "boot_seconds": arguments.boot_seconds,
        "services": None if arguments.services is None else [name for name in arguments.services.split(",") if name],
    }
    remembered, begins = paths.state / "options.json", {**options, "sources": _sources()}
    if _running(paths) is not None:
        status = _answering(paths)
        known = json.loads(remembered.read_text()) if remembered.exists() else {}
        reason = _reason_to_start_again(paths, status, known, begins)
        if status is not None and not reason:
            _wait_for_images(paths, arguments.stack)
            if not arguments.quiet:
                print(f"simulator is running (pid {status['pid']}, {status['block']})")
            return 0
        # As a power cut to its hosts: a deployment that follows finds that they have booted since.
        print(f"simulator: starts over, {reason}", flush=True)
        _end(paths)
    if _locked(paths):
        # Another start (or a stop) is at work: its end is what counts.
        return _wait_for_other(paths, arguments)
    paths.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    remembered.write_text(json.dumps(begins))
    begun = time.monotonic()
    with paths.log.open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "aether_sim", "_serve", json.dumps(options)],
            cwd=REPO,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "AETHER_SIM_DIR": str(paths.state), "PYTHONPATH": str(SOURCES), "PYTHONUNBUFFERED": "1"},
        )
    assert child.stdout is not None
    for raw in child.stdout:
        line = raw.decode().strip()
        if line == "ready":
            break
        if not arguments.quiet:
            print(f"simulator: {line} ({time.monotonic() - begun:.1f} s)", flush=True)
    else:
        child.wait()
        print(f"sim: the simulator did not start; last lines of {paths.log}:", file=sys.stderr)
        for line in paths.log.read_text(errors="replace").splitlines()[-15:]:
            print(f"  {line}", file=sys.stderr)
        return 1
    _wait_for_images(paths, arguments.stack)
    status = control.ask(paths, {"do": "status"})
    for warning in status["warnings"]:
        print(f"simulator: warning: {warning}", file=sys.stderr)
    if not arguments.quiet:
        print(
            f"simulator is ready after {time.monotonic() - begun:.1f} s: API {status['api']}, "
            f"SSH on port {status['ssh_port']} of {status['block']}, stack file {status['stack']}"
        )
    return 0


def _reason_to_start_again(paths: SimPaths, status: dict[str, Any] | None, known: dict[str, Any], begins: dict[str, Any]) -> str:
    """Why a start does not leave the simulator that runs as it is; empty where it does."""
    if status is None:
        return "it does not answer"
    if _datacentre(known) != _datacentre(begins):
        changed = [name for name in begins if known.get(name) != begins[name]]
        return f"it was started with other {', '.join(changed)}"
    if not Path(status["stack"]).exists():
        return f"{status['stack']} is gone"
    if status["warnings"]:
        return f"it could not do all of its last one: {status['warnings'][0]}"
    return "" if _follows(paths) else "its inventory has other machines"


def _datacentre(options: dict[str, Any]) -> dict[str, Any]:
    """What makes one datacentre another one: a stack that stands in the same is no reason to start again."""
    return {**options, "stack": TOGETHER if options.get("stack") in TOGETHER else options.get("stack")}


def _sources() -> str:
    """Digest of the simulator's own files: one that runs may be older, and what it named may be called otherwise now."""
    found = hashlib.sha256()
    for path in sorted(path for path in (SOURCES / "aether_sim").rglob("*") if path.suffix in (".py", ".sh") and path.is_file()):
        found.update(f"{path.relative_to(SOURCES)}\0".encode() + path.read_bytes())
    return found.hexdigest()


def _wait_for_images(paths: SimPaths, stack: str) -> None:
    """Nothing of the homelab asks for images in its first seconds; the cloud's first preview does."""
    if stack == "sim-cloud":
        control.ask(paths, {"do": "filled"})


def _locked(paths: SimPaths) -> bool:
    """Whether a supervisor holds the state directory."""
    try:
        descriptor = os.open(paths.lock, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _wait_for_other(paths: SimPaths, arguments: argparse.Namespace) -> int:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if not _locked(paths) or (_running(paths) is not None and _answering(paths) is not None):
            return _start(paths, arguments)
        time.sleep(0.1)
    return _complain(f"another process has been starting or stopping the simulator for {START_TIMEOUT:.0f} s; see {paths.log}")


def _answering(paths: SimPaths) -> dict[str, Any] | None:
    """What a supervisor that runs says of itself. One that is busy is waited for: to end it cuts the power of its hosts."""
    try:
        status = control.ask(paths, {"do": "status"}, timeout=START_TIMEOUT / 2)
    except (control.NotRunning, control.Failed):
        return None
    return dict(status)


def _follows(paths: SimPaths) -> bool:
    """Whether the running datacentre has taken in what the inventory says now. One that cannot is older than these files."""
    try:
        return bool(control.ask(paths, {"do": "follow"}))
    except control.Failed:
        return False


def _end(paths: SimPaths) -> None:
    """End the supervisor: asked, then SIGTERM, then SIGKILL. Its hosts end with it, whichever way."""
    pid = _running(paths)
    if pid is None:
        return
    started = start_time(pid)
    for way in ("ask", signal.SIGTERM, signal.SIGKILL):
        try:
            if isinstance(way, str):
                control.ask(paths, {"do": "stop"}, timeout=5)
            else:
                os.kill(pid, way)
        except (control.NotRunning, control.Failed):
            continue
        except ProcessLookupError:
            return
        deadline = time.monotonic() + STOP_TIMEOUT
        while time.monotonic() < deadline:
            if start_time(pid) != started:
                return
            time.sleep(0.02)


def _stop(paths: SimPaths, arguments: argparse.Namespace) -> int:
    was = _running(paths)
    _end(paths)
    for path in (paths.control, paths.pid):
        path.unlink(missing_ok=True)
    print("simulator stopped" if was is not None else "simulator is not running")
    return 0


def _restart(paths: SimPaths, arguments: argparse.Namespace) -> int:
    _end(paths)
    return _start(paths, arguments)


def _reset(paths: SimPaths, arguments: argparse.Namespace) -> int:
    _end(paths)
    for path in (paths.hosts, paths.base):
        shutil.rmtree(path, ignore_errors=True)
    from aether_sim.pve.certificates import PVE_IDENTITY

    for target in paths.pve.glob("*"):
        if target.name not in PVE_IDENTITY:
            shutil.rmtree(target, ignore_errors=True) if target.is_dir() else target.unlink(missing_ok=True)
    print("simulator stopped; its guests, disks, settings and faults are gone, its keys stay")
    return 0


def _status(paths: SimPaths, arguments: argparse.Namespace) -> int:
    status = control.ask(paths, {"do": "status"})
    if arguments.json:
        print(json.dumps(status, indent=1))
        return 0
    print(f"pid {status['pid']}, up {status['uptime']} s, API {status['api']}, SSH port {status['ssh_port']}")
    print(f"operator key {status['operator_key']}, stack file {status['stack']}")
    for name, host in status["hosts"].items():
        reason = f" ({host['reason']})" if host["reason"] else ""
        print(f"{name:20} {host['kind']:12} {host['address']:16} {host['state']}{reason}")
    for target, table in status["faults"].items():
        print(f"fault on {target}: {', '.join(table)}")
    for warning in status["warnings"]:
        print(f"warning: {warning}")
    return 0


def _fault(paths: SimPaths, arguments: argparse.Namespace) -> int:
    if arguments.clear:
        control.ask(paths, {"do": "clear_faults"})
        print("all faults are off")
        return 0
    if arguments.list or arguments.target is None:
        listing = control.ask(paths, {"do": "faults"})
        if arguments.json:
            print(json.dumps(listing, indent=1))
            return 0
        for scope, faults in listing["catalogue"].items():
            for name, text in faults.items():
                print(f"{scope:16} {name:14} {text}")
        for target, table in listing["on"].items():
            for name, value in table.items():
                print(f"on: {target} {name}{'=' + value if value else ''}")
        return 0
    if arguments.name is None:
        return _complain("which fault? `./aether sim fault --list` shows them all")
    name, _, value = arguments.name.partition("=")
    request = {"do": "fault", "target": arguments.target, "name": name, "on": not arguments.off, "value": value}
    said = control.ask(paths, request)
    print(f"{name} is {'off' if arguments.off else 'on'} for {arguments.target}{'' if said == 'done' else f'; {said}'}")
    return 0


def _power(paths: SimPaths, arguments: argparse.Namespace) -> int:
    print(control.ask(paths, {"do": "power", "host": arguments.host, "action": arguments.action}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
