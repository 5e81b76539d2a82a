"""For tests: a small datacentre of their own with two nodes and a host of each flavour, driven by command line and plain ssh."""

import http.cookiejar
import json
import os
import shutil
import ssl
import stat
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aether_sim import control
from aether_sim.paths import REPO, SOURCES, SimPaths

SSH = shutil.which("ssh")
INVENTORY = """
[site]
name = "test"
domain = "test.example.org"
user = "mitso"
[nodes.pve1]
address = "192.168.1.11"
[nodes.pve2]
address = "192.168.1.12"
[hosts.metal]
kind = "nixos-metal"
address = "192.168.10.5"
health = [{ unit = "web.service" }, { tcp = 8080 }]
[hosts.vm]
kind = "nixos-vm"
node = "pve1"
vmid = 100
address = "192.168.10.10"
[hosts.ct]
kind = "nixos-lxc"
node = "pve1"
vmid = 101
address = "192.168.10.11"
[hosts.kinoite]
kind = "atomic"
address = "192.168.20.10"
[hosts.router]
kind = "ansible"
os = "vyos"
address = "192.168.1.1"
ssh_user = "vyos"
[hosts.debian]
kind = "ansible"
os = "debian"
address = "192.168.10.50"
[hosts.alpine]
kind = "ansible"
os = "alpine"
address = "192.168.10.51"
[hosts.fedora]
kind = "ansible"
os = "fedora"
address = "192.168.20.41"
"""


@dataclass
class Outcome:
    """What a command ended with."""

    code: int
    out: str
    err: str


def wait_until(what: str, condition: Callable[[], bool], seconds: float = 20) -> None:
    """Poll until the condition holds, or fail saying what did not happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


class Simulator:
    """One simulator with its own state directory, driven by its command line and by ssh."""

    def __init__(self, directory: Path, inventory: str = INVENTORY) -> None:
        self.directory = directory
        self.state = directory / "state"
        self.inventory = directory / "inventory.toml"
        directory.mkdir(parents=True, exist_ok=True)
        self.inventory.write_text(inventory)
        self.config = directory / "ssh_config"

    def env(self) -> dict[str, str]:
        return {**os.environ, "AETHER_SIM_DIR": str(self.state)}

    def cli(self, *words: str, timeout: float = 120) -> Outcome:
        done = subprocess.run(
            [str(REPO / "aether"), "sim", *words],
            cwd=REPO,
            env=self.env(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def options(self) -> list[str]:
        return ["--inventory", str(self.inventory), "--boot-seconds", "0.05", "--services", ""]

    def start(self) -> Outcome:
        outcome = self.cli("start", *self.options())
        assert outcome.code == 0, outcome.out + outcome.err
        self._write_config()
        return outcome

    def _write_config(self) -> None:
        known = self.directory / "known_hosts"
        lines, keys = [], []
        for name, endpoint in self.endpoints().items():
            user = "vyos" if name == "router" else "root"
            lines.append(
                f"Host {name}\n HostName {endpoint['address']}\n Port {endpoint['port']}\n HostKeyAlias {name}\n User {user}\n"
            )
            keys.append(f"{name} {endpoint['hostKey']}\n")
        lines.append(
            f"Host *\n IdentityFile {self.state}/keys/operator\n IdentitiesOnly yes\n UserKnownHostsFile {known}\n"
            " StrictHostKeyChecking yes\n BatchMode yes\n ConnectTimeout 10\n LogLevel ERROR\n"
        )
        self.config.write_text("".join(lines))
        known.write_text("".join(keys))

    def endpoints(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = json.loads((self.state / "endpoints.json").read_text())
        return found

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = control.ask(SimPaths(self.state), {"do": "status"})
        return found

    def ssh(self, host: str, command: str, stdin: str = "", *options: str) -> Outcome:
        done = subprocess.run(
            ["ssh", "-F", str(self.config), *options, host, command],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def answers(self, host: str) -> bool:
        return self.ssh(host, "true").code == 0

    def reboot(self, host: str) -> None:
        """Reboot from inside, and wait until it is up again with another boot id."""
        before = self.ssh(host, "cat /proc/sys/kernel/random/boot_id").out
        self.ssh(host, {"router": "shutdown -r now", "alpine": "reboot"}.get(host, "systemctl reboot"))

        def back() -> bool:
            now = self.ssh(host, "cat /proc/sys/kernel/random/boot_id")
            return now.code == 0 and now.out != before

        wait_until(f"{host} comes back from its reboot", back)

    def fault(self, target: str, name: str, *, off: bool = False) -> None:
        name, _, value = name.partition("=")
        control.ask(SimPaths(self.state), {"do": "fault", "target": target, "name": name, "on": not off, "value": value})

    def nix(self, *words: str) -> Outcome:
        environment = {**self.env(), "NIX_SSHOPTS": f"-F {self.config}"}
        done = subprocess.run(
            [str(SOURCES / "aether_sim/operator/nix"), *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=REPO,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def copied(self, path: str, host: str = "metal") -> Outcome:
        """Sign PATH with the fleet's key and copy it to HOST; fails where that does."""
        signed = self.nix("store", "sign", "--recursive", "--key-file", str(self.state / "keys/nix-signing"), path)
        assert signed.code == 0, signed.err
        return self.nix("copy", "--to", f"ssh-ng://{host}", path)

    def secrets(self) -> dict[str, str]:
        """Environment in which scripts find the simulator's sops files and can read them."""
        path = f"{REPO / '.aether/engine/bin'}:{os.environ['PATH']}"
        key = str(self.state / "keys/age.txt")
        return {"AETHER_SECRETS": str(self.state / "secrets"), "SOPS_AGE_KEY_FILE": key, "PATH": path}

    def script(self, path: str, environment: Mapping[str, str], *arguments: str, text: str = "") -> Outcome:
        """Run one of the operator's scripts against this simulator's hosts."""
        done = subprocess.run(
            [path, *arguments],
            cwd=REPO,
            env={**self.env(), "AETHER_SSH_CONFIG": os.path.relpath(self.config, REPO), **environment},
            input=text,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def close(self) -> None:
        self.cli("stop")
        shutil.rmtree(self.state, ignore_errors=True)


class Api:
    """A Proxmox client with a login ticket, on urllib."""

    def __init__(self, simulator: Simulator, password: str | None = None) -> None:
        settings = json.loads((simulator.state / "pve/settings.json").read_text())
        self.base = simulator.status()["api"].rstrip("/") + "/api2/json"
        context = ssl.create_default_context(cafile=str(simulator.state / "pve/pve-root-ca.pem"))
        self.opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=context), urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        )
        self.headers: dict[str, str] = {}
        login = self.call("POST", "/access/ticket", username="root@pam", password=password or settings["password"])
        self.headers = {"Cookie": f"PVEAuthCookie={login['ticket']}", "CSRFPreventionToken": login["CSRFPreventionToken"]}

    def call(self, method: str, path: str, timeout: float = 30, **values: Any) -> Any:
        """The data of an answer. Raises HTTPError."""
        body = urllib.parse.urlencode(values).encode() if method in ("POST", "PUT") else None
        query = "?" + urllib.parse.urlencode(values) if values and body is None else ""
        request = urllib.request.Request(self.base + path + query, body, self.headers, method=method)
        with self.opener.open(request, timeout=timeout) as answer:
            return json.loads(answer.read())["data"]

    def task(self, method: str, path: str, **values: Any) -> str:
        """Run a task to its end; its exit status."""
        upid = self.call(method, path, **values)
        node = upid.split(":")[1]
        status: dict[str, Any] = {}

        def ended() -> bool:
            status.update(self.call("GET", f"/nodes/{node}/tasks/{urllib.parse.quote(upid)}/status"))
            return bool(status["status"] == "stopped")

        wait_until(f"task {upid} ends", ended)
        return str(status["exitstatus"])

    def create_vm(
        self, name: str = "vm", vmid: int = 100, address: str = "192.168.10.10", node: str = "pve1", **more: Any
    ) -> str:
        return self.task(
            "POST",
            f"/nodes/{node}/qemu",
            **{
                "vmid": vmid,
                "name": name,
                "memory": 512,
                "agent": 1,
                "scsi0": "local-zfs:8",
                "net0": "virtio,bridge=vmbr0",
                "ipconfig0": f"ip={address}/24,gw=192.168.10.1",
                "start": 1,
                **more,
            },
        )

    def create_ct(self, name: str = "ct", vmid: int = 101, address: str = "192.168.10.11", **more: Any) -> str:
        return self.task(
            "POST",
            "/nodes/pve1/lxc",
            **{
                "vmid": vmid,
                "hostname": name,
                "ostemplate": "local:vztmpl/nixos.tar.xz",
                "rootfs": "local-zfs:4",
                "net0": f"name=eth0,bridge=vmbr0,ip={address}/24",
                "start": 1,
                **more,
            },
        )

    def destroy(self, vmid: int, node: str = "pve1", kind: str = "qemu") -> str:
        self.task("POST", f"/nodes/{node}/{kind}/{vmid}/status/stop")
        return self.task("DELETE", f"/nodes/{node}/{kind}/{vmid}")


def started(directory: Path) -> Iterator[Simulator]:
    """A running simulator, stopped and removed at the end."""
    if sys.platform != "linux":
        pytest.skip("the simulator needs Linux")
    simulator = Simulator(directory)
    try:
        simulator.start()
        yield simulator
    finally:
        simulator.close()


def wrapped_ssh(folder: Path, body: str) -> dict[str, str]:
    """An `ssh` that runs BODY before the real one takes over; what it was asked is in FOLDER/asked."""
    folder.mkdir()
    program = folder / "ssh"
    log = f'printf "%s\\n" "$(printf "%s" "$*" | tr "\\n" " ")" >>{folder}/asked'
    program.write_text(f'#!/bin/bash\n{log}\n{body}\nexec {SSH} "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return {"PATH": f"{folder}:{REPO / '.aether/engine/bin'}:{os.environ['PATH']}"}
