"""The one process of a running simulator: services, hosts and the control socket."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import socket
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from aether_sim import block, extensions, stackfile, world
from aether_sim.hosts import faults as host_faults
from aether_sim.hosts import firstboot
from aether_sim.hosts.host import Host, Surroundings
from aether_sim.hosts.ssh import HOST_KEY
from aether_sim.keys import Keys, KeysError
from aether_sim.paths import SOURCES, TOGETHER, SimPaths, bind_unix, start_time, write_atomic
from aether_sim.pve.service import Proxmox
from aether_sim.role_secrets import role_secrets
from aether_sim.way_home import WayHome
from aether_sim.world import HostFacts, World


@dataclass(frozen=True)
class Options:
    """What `./aether sim start` was given."""

    stack: str = "sim"
    inventories: tuple[Path, ...] = ()
    boot_seconds: float = 0.3
    # Names of the extensions to start; None: all that there are.
    services: tuple[str, ...] | None = None


class Supervisor:
    """Builds the datacentre, answers the control socket, and takes everything down at the end."""

    def __init__(self, paths: SimPaths, options: Options) -> None:
        self.paths, self.options = paths, options
        self.keys = Keys(paths)
        self.hosts: dict[str, Host] = {}
        self.warnings: list[str] = []
        self.started = time.time()
        self._stop = asyncio.Event()
        self._claim: socket.socket | None = None
        self._locked: int | None = None
        self.world: World = world.load(self.inventory_files())
        self.extensions: list[extensions.Extension] = []

    def log(self, message: str) -> None:
        """One line with its time, to the log file that is this process's stderr."""
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {message}\n")
        sys.stderr.flush()

    def inventory_files(self) -> list[Path]:
        """The inventories that this datacentre is made from."""
        if self.options.inventories:
            return list(self.options.inventories)
        found = []
        for stack in self._stacks():
            tracked = self._tracked_stack(stack)
            named = "inventory/homelab.toml"
            if tracked.exists():
                named = (yaml.safe_load(tracked.read_text()) or {}).get("config", {}).get("aether:inventory", named)
            found.append(self.paths.repo / named)
        # The homelab's comes last: where two say something of the whole site, its word counts.
        return [path for path in dict.fromkeys(reversed(found)) if path.exists()]

    def _stacks(self) -> list[str]:
        """The simulated stacks stand in one datacentre; a stack of a name of its own stands alone."""
        if self.options.stack not in TOGETHER:
            return [self.options.stack]
        return [stack for stack in TOGETHER if stack == "sim" or self._tracked_stack(stack).exists()]

    def _tracked_stack(self, stack: str) -> Path:
        return self.paths.repo / f"Pulumi.{stack}.yaml"

    # Life

    async def run(self) -> None:
        """From nothing to `ready`, until somebody asks to stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop.set)
        self._lock()
        control: asyncio.AbstractServer | None = None
        try:
            self._claim_addresses()
            self._rename_hosts()
            self._make_surroundings()
            await self._start_everything()
            self._write_stack()
            control = await asyncio.start_unix_server(self._control, sock=bind_unix(self.paths.control), limit=1 << 20)
            self.paths.control.chmod(0o600)
            self._tell("ready")
            await self._stop.wait()
        finally:
            if control is not None:
                control.close()
            await self._take_down()

    def _tell(self, text: str) -> None:
        """Progress, for the command that waits for the start."""
        with contextlib.suppress(OSError):
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def _lock(self) -> None:
        self.paths.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._locked = os.open(self.paths.lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit("another supervisor holds the state directory") from None
        write_atomic(self.paths.pid, json.dumps({"pid": os.getpid(), "start": start_time(os.getpid())}).encode())

    def _claim_addresses(self) -> None:
        """The same block and port as last time when they are still free."""
        kept_file = self.paths.state / "addresses.json"
        kept = json.loads(kept_file.read_text()) if kept_file.exists() else {}
        seed = str(self.paths.state.resolve())
        self.block, self._claim = block.claim(kept.get("block"), seed)
        self.ssh_port = block.free_port(self.block, kept.get("ssh_port"), seed)
        write_atomic(kept_file, json.dumps({"block": self.block, "ssh_port": self.ssh_port}).encode())

    def _rename_hosts(self) -> None:
        """A host that the inventory renamed keeps its disk and its key, as a real one does."""
        for name, facts in self.world.hosts.items():
            if facts.was is None or facts.was in self.world.hosts:
                continue
            for folder in (self.paths.hosts, self.paths.keys / "hosts"):
                for ending in ("", ".pub"):
                    old, new = folder / f"{facts.was}{ending}", folder / f"{name}{ending}"
                    if old.exists() and not new.exists():
                        old.rename(new)

    def _make_surroundings(self) -> None:
        from aether_sim.fakes import served

        names = {facts.name: self.address_of(facts) for facts in self.world.hosts.values()}
        names |= {f"{name}.{self.world.domain}": address for name, address in list(names.items())}
        self.surroundings = Surroundings(
            directory=self.paths.hosts,
            base=self.paths.base,
            block=self.block,
            ssh_port=self.ssh_port,
            log=self.log,
            served=served.serve,
            boot_seconds=self.options.boot_seconds,
            names=names,
            forwardable=self._may_forward_to,
            answer=WayHome(self).status,
        )

    def address_of(self, facts: HostFacts) -> str:
        """Where a host answers."""
        return world.sim_address(facts.address, self.block)

    def _may_forward_to(self, address: str, port: int) -> bool:
        return any(host.sim_address == address for host in self.hosts.values()) and port == self.ssh_port

    def make_host(self, facts: HostFacts, kept: str | None = None) -> Host:
        """The host of these facts, known by its name from now on, or by its folder's, which is KEPT where it has one."""
        if self.world.owner and self.world.owner not in facts.users:
            facts = replace(facts, users=(*facts.users, self.world.owner))
        taken = self.hosts.get(facts.name) if kept in (None, facts.name) else None
        directory = kept or facts.name
        if kept is None and taken is not None and taken.state != "down" and taken.facts.vmid != facts.vmid:
            directory = f"{facts.name}-{facts.vmid}"
        host = Host(facts, self.surroundings, self.address_of(facts), directory)
        if taken is not None:
            host.faults = taken.faults.moved_to(host)
        self.hosts[directory] = host
        self.surroundings.names.setdefault(facts.name, host.sim_address)
        return host

    async def _start_everything(self) -> None:
        self._tell(f"keys for {len(self.world.hosts)} hosts")
        await asyncio.to_thread(self._make_keys)
        self.surroundings.operator_key = self.operator_public
        self.surroundings.signing_key = self.keys.signing_public
        self.proxmox = Proxmox(self.paths.pve, self.world, f"127.{self.block}.0.1", self.make_host, self.log)
        from aether_sim.fakes.served import nodes

        nodes.serve(self.proxmox)
        self.surroundings.powered_off = self.proxmox.guest_powered_off
        self.surroundings.tls = self.proxmox.tls_context
        standing = [facts for facts in self.world.hosts.values() if facts.stands_alone]
        for facts in standing:
            host = self.make_host(facts)
            host.seed = self._installation(facts)
            if facts.kind == "node":
                self.proxmox.node_hosts[facts.name] = host
        self._tell(f"{len(standing)} hosts and the Proxmox API")
        self.extensions = extensions.load(self, self.options.services)
        standing_hosts = list(self.hosts.values())
        await asyncio.gather(
            self.proxmox.start(),
            *(host.power_on() for host in standing_hosts),
            *(extension.start() for extension in self.extensions),
        )
        for host in standing_hosts:
            if host.state != "up":
                self.warnings.append(f"{host.name} did not boot: {host.reason}")
        self.proxmox.resume()
        await self.proxmox.settle()

    def _make_keys(self) -> None:
        self.operator_public = self.keys.operator_public()
        for name, facts in self.world.hosts.items():
            if facts.extra.get("adopted"):
                self.keys.keep(name, self.paths.hosts / name / "upper" / HOST_KEY.lstrip("/"))
            self.keys.host_public(name)
        try:
            self.keys.write_secrets(self.world.hosts, role_secrets(self.paths.repo, self.world, self.keys))
            self.keys.write_signing()
        except KeysError as error:
            self.warnings.append(f"secrets were not written: {error}")

    def _installation(self, facts: HostFacts) -> firstboot.Seed:
        """What a host that was there before has: its key, and the operator's for each of its users."""
        return firstboot.Seed(
            instance="installed",
            hostname=facts.name,
            host_key=self.keys.host(facts.name),
        )

    async def _take_down(self) -> None:
        for extension in reversed(self.extensions):
            await extension.stop()
        if hasattr(self, "proxmox"):
            await self.proxmox.stop()
        await asyncio.gather(*(host.power_off() for host in self.hosts.values()))
        for path in (self.paths.control, self.paths.pid):
            path.unlink(missing_ok=True)
        if self._claim is not None:
            self._claim.close()

    def endpoints(self) -> dict[str, dict[str, Any]]:
        """Where every host of the inventory answers, and with which key."""
        return {
            name: {"address": self.address_of(facts), "port": self.ssh_port, "hostKey": self.keys.host_public(name)}
            for name, facts in self.world.hosts.items()
        }

    def _write_stack(self) -> None:
        endpoints_file = self.paths.state / "endpoints.json"
        write_atomic(endpoints_file, json.dumps(self.endpoints(), indent=1).encode(), 0o644)
        operator_nix = SOURCES / "aether_sim" / "operator" / "nix"
        dynamic: dict[str, Any] = {
            **self.proxmox.stack_settings(),
            "aether:secrets": str(self.paths.secrets),
            "aether:endpointsFile": str(endpoints_file),
            "aether:operatorKeyFile": str(self.keys.operator),
            "aether:nix": str(operator_nix),
        }
        for extension in self.extensions:
            dynamic |= extension.stack_settings()
        for stack in self._stacks():
            stackfile.write(self.paths.state / f"Pulumi.{stack}.yaml", self._tracked_stack(stack), dynamic)

    # Control

    async def _control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            line = await reader.readline()
            try:
                request = json.loads(line)
                handler = getattr(self, "_ask_" + request.pop("do"))
                answer: dict[str, Any] = {"result": await handler(**request)}
            except (Refusal, ValueError, TypeError, AttributeError) as error:
                answer = {"error": str(error)}
            except Exception as error:
                self.log(f"control: {error!r}")
                answer = {"error": f"internal error: {error!r}"}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def _ask_status(self) -> dict[str, Any]:
        api = self.proxmox
        guests = {guest.vmid: guest for guest in [*api.api.vms, *api.api.cts]}
        return {
            "pid": os.getpid(),
            "uptime": round(time.time() - self.started, 1),
            "block": f"127.{self.block}.0.0/16",
            "ssh_port": self.ssh_port,
            "api": api.stack_settings()["aether:proxmoxEndpoint"],
            "stack": str(self.paths.state / f"Pulumi.{self.options.stack}.yaml"),
            "operator_key": str(self.keys.operator),
            "warnings": self.warnings,
            "faults": self._listing(),
            "guests": [
                {"vmid": vmid, "name": guest.name, "node": guest.node, "status": guest.status}
                for vmid, guest in sorted(guests.items())
            ],
            "hosts": {
                key: {
                    "kind": host.facts.kind,
                    "address": host.sim_address,
                    "state": host.state,
                    "reason": host.reason,
                    "boots": host.boots,
                    "ssh": host.ssh.listening,
                    "system": host_faults.running_system(host) if host.state == "up" else None,
                }
                for key, host in sorted(self.hosts.items())
            },
        }

    async def _ask_follow(self) -> bool:
        """Take in the guests that the inventory has had added since the start: their keys, secrets and addresses. False where
        only a start does: a machine that stands by itself, or a host under another name.
        """
        try:
            now = world.load(self.inventory_files())
        except (OSError, tomllib.TOMLDecodeError):
            return True  # The program refuses it, with the line.
        new = {name: facts for name, facts in now.hosts.items() if name not in self.world.hosts}
        if not all(facts.is_guest and facts.was is None for facts in new.values()):
            return False
        if new:
            self.world = self.proxmox.world = replace(self.world, hosts={**self.world.hosts, **new}, tables=now.tables)
            # As an owner's `./aether proxmox role --update`: a first virtual machine needs what no container did.
            self.proxmox.admit()
            await asyncio.to_thread(self._make_keys)
            self._write_stack()
            self.log(f"takes in {', '.join(new)}")
        return True

    async def _ask_requests(self) -> list[tuple[str, str, str]]:
        """Method, path and body of the requests that the Proxmox API had last, secrets blotted out."""
        return [(method, path, body.decode("latin-1")) for method, path, body in self.proxmox.api.requests]

    async def _ask_stop(self) -> str:
        asyncio.get_running_loop().call_later(0.05, self._stop.set)
        return "stopping"

    async def _ask_settle(self) -> str:
        """Wait until no guest is changing power."""
        await self.proxmox.settle()
        return "settled"

    async def _ask_filled(self) -> str:
        """Wait until services hold what they begin with; they answer before."""
        for extension in self.extensions:
            await extension.filled()
        return "filled"

    def _listing(self) -> dict[str, dict[str, str]]:
        found = {name: host.faults.listing() for name, host in self.hosts.items() if host.faults.listing()}
        sources: list[extensions.Extension | Proxmox] = [self.proxmox, *self.extensions]
        for source in sources:
            for target, table in source.listing().items():
                found[target] = {**found.get(target, {}), **table}
        return found

    async def _ask_faults(self) -> dict[str, Any]:
        catalogue: dict[str, Mapping[str, str]] = {"HOST": host_faults.CATALOGUE, "NODE or proxmox": self.proxmox.faults}
        for extension in self.extensions:
            catalogue[extension.name] = extension.faults
        return {"on": self._listing(), "catalogue": catalogue}

    async def _ask_fault(self, target: str, name: str, on: bool = True, value: str = "") -> str:
        with contextlib.suppress(KeyError):
            await self.proxmox.switch(target, name, on, value)
            return "done"
        for extension in self.extensions:
            if target == extension.name and name in extension.faults:
                await extension.switch(target, name, on, value)
                return "done"
        if name not in host_faults.CATALOGUE:
            raise Refusal(f"there is no fault {name!r} for {target!r}; `./aether sim fault --list` shows them all")
        host = self.hosts.get(target)
        if host is None:
            facts = self.world.hosts.get(target)
            if facts is None:
                raise Refusal(f"there is no host {target!r} in the inventory or among the guests")
            # A guest that is not there yet: the fault waits for it.
            host = self.make_host(facts)
        await host.faults.switch(name, on, value)
        if name == "health" and on and not _has_service(self.world.hosts.get(target)):
            return _NO_SERVICE
        return "done"

    async def _ask_clear_faults(self) -> str:
        for target, table in self._listing().items():
            for name in table:
                await self._ask_fault(target, name, False)
        return "done"

    async def _ask_power(self, host: str, action: str) -> str:
        """Pull or restore the plug of a host that is not a guest."""
        found = self.hosts.get(host)
        if found is None or found.facts.is_guest:
            raise Refusal(f"{host!r} is not a host whose power the simulator decides; guests follow the Proxmox API")
        work = {"on": found.power_on, "off": found.power_off, "reboot": found.reboot}.get(action)
        if work is None:
            raise Refusal("the action is on, off or reboot")
        await work()
        return found.state


class Refusal(Exception):
    """A request that cannot be done; the message says why."""


def main(paths: SimPaths, options: Options) -> int:
    """Run a supervisor in this process."""
    if sys.version_info < (3, 12):
        # The default of 3.11 starts a thread for every child process.
        asyncio.set_child_watcher(asyncio.PidfdChildWatcher())
        policy = asyncio.get_event_loop_policy()
        watcher = asyncio.PidfdChildWatcher()
        policy.set_child_watcher(watcher)
    try:
        asyncio.run(Supervisor(paths, options).run())
    except (OSError, RuntimeError, block.NoBlock, Refusal) as error:
        sys.stdout.write(f"failed {error}\n")
        raise
    return 0


def options_of(argv: Sequence[str]) -> Options:
    """Options as the parent passes them: JSON."""
    raw = json.loads(argv[0])
    services = raw.get("services")
    return Options(
        raw["stack"],
        tuple(Path(item) for item in raw["inventories"]),
        raw["boot_seconds"],
        None if services is None else tuple(services),
    )


_NO_SERVICE = (
    "nothing of it will fail: its health asks for no service but SSH. Fix: let it run one, with a check like "
    'health = [{ unit = "nginx.service" }], and make up'
)


def _has_service(facts: HostFacts | None) -> bool:
    """Whether a host of these FACTS has a simulated service, which a check of its health asks for."""
    checks = facts.health if facts else ()
    return not checks or any(check.get("unit", "sshd.service") != "sshd.service" or "unit" not in check for check in checks)
