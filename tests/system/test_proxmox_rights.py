"""The program works as an API token: its rights suffice, each is needed, and what is missing is named.

One deployment of the small fleet is recorded at the API: made, changed and destroyed by the real provider. Its requests are
then replayed against the enforcing API without one right after the other.
"""

import asyncio
import json
import re
import tomllib
import urllib.parse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from fakepve.certs import make_cert

from aether_sim import control
from aether_sim.paths import SimPaths
from aether_sim.pve.server import SimPve
from aether_sim.pve.storage import NodeStores, new_stores
from inventory.proxmox_rights import TOKEN, USER, Right, Use, grants, paths, rights
from tests.system.checkout import Checkout
from tests.system.small import small_checkout

Request = tuple[str, str, str]
_TASK = re.compile(r"/tasks/UPID")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    made = small_checkout(tmp_path_factory.mktemp("rights"))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def recorded(small: Checkout) -> tuple[Use, list[Request]]:
    """The use of the fleet, and the requests of its life: made, changed in what can be changed, destroyed."""
    devices = 'usb = [{ name = "zwave", id = "0658:0200" }]\npci = [{ name = "gpu", id = "8086:46d1", path = "0000:00:02.0" }]'
    small.replace("inventory/homelab.toml", 'address = "192.168.1.11"', f'address = "192.168.1.11"\n{devices}')
    small.replace("inventory/homelab.toml", "memory = 512", 'memory = 512\nstart_order = 1\nusb = ["zwave"]\npci = ["gpu"]')
    small.replace("inventory/homelab.toml", "vmid = 110", 'vmid = 110\npool = "edge/web"')
    only_root = 'keyctl = true\nfuse = true\ndevices = ["/dev/dri/renderD128", "/dev/net/tun"]'
    small.replace("inventory/homelab.toml", "vmid = 111", f"vmid = 111\n{only_root}")
    started = small.sim("start", "--stack", "sim")
    assert started.code == 0, started.text
    # One right too little, really: the run ends with its name and path, and goes on from there when it has been given.
    small.fault("proxmox", "missing-right=VM.Config.HWType")
    refused = small.up()
    small.fault("proxmox", "missing-right", off=True)
    assert refused.code != 0
    expected = r"web: the Proxmox token lacks VM\.Config\.HWType on /vms/110; give it what `./aether proxmox role` prints"
    assert re.search(expected, refused.text), refused.text[-4000:]
    made = small.up()
    assert made.code == 0, made.text[-6000:]
    config = {vmid: small.ssh("pve1", f"{tool} config {vmid}").text for tool, vmid in (("qm", 110), ("pct", 111))}
    assert "mapping=pve1-usb-zwave" in config[110], config[110]
    assert "mapping=pve1-pci-gpu" in config[110], config[110]
    # Only root@pam may set these: they came by the node, and the container was restarted for them before its first contact.
    assert {"fuse=1", "keyctl=1", "nesting=1"} == set(
        re.findall(r"\w+=1", config[111].partition("features: ")[2].splitlines()[0])
    )
    assert "dev0: /dev/dri/renderD128,mode=0666" in config[111], config[111]
    assert "dev1: /dev/net/tun,mode=0666" in config[111], config[111]
    boots = json.loads(small.sim("status", "--json").text)["hosts"]["dns"]["boots"]
    # Read back, they are no difference: nothing is to be changed as the token, which would be refused.
    again = small.preview("--refresh=true")
    assert again.code == 0, again.text[-4000:]
    assert not {"to update", "to create", "to replace", "to delete"} & set(again.changes()), again.text[-4000:]
    assert boots == 2
    # A changed inventory starts the simulator again, which forgets what it was asked.
    asked = requests_of(small)
    small.replace("inventory/homelab.toml", "memory = 512", "memory = 1024")
    changed = small.up()
    assert changed.code == 0, changed.text[-6000:]
    code = "from ops.stack import Stack; raise SystemExit(Stack('sim').hear(print, 'destroy', '--yes', '--skip-preview'))"
    destroyed = small.run(small.python, "-c", code)
    assert destroyed.code == 0, destroyed.text[-6000:]
    # What the provider does for a new address, which nobody can have while its host is to be reached at the old one.
    asked.append(("PUT", "/api2/json/nodes/pve1/qemu/110/cloudinit", ""))
    # And for another node, last, for the guest would be somewhere else: it is gone by then, and the right is looked at first.
    moved = ("POST", "/api2/json/nodes/pve1/qemu/110/migrate", "target=pve2")
    managed = ("GET", "/api2/json/cluster/ha/resources/vm:110", "")
    return Use.of(tomllib.loads((small.path / "inventory/homelab.toml").read_text())), [
        *asked,
        *requests_of(small),
        managed,
        moved,
    ]


def requests_of(checkout: Checkout) -> list[Request]:
    """What the API was asked, without what a waiting client asks again and again."""
    found: list[Request] = []
    for method, path, body in control.ask(SimPaths(checkout.path / ".aether/sim"), {"do": "requests"}):
        request = (method, path, body)
        if not _TASK.search(urllib.parse.unquote(path)) and request not in found[-3:]:
            found.append(request)
    return found


class Replay:
    """The recorded requests at an API of their own, asked by a token with some of the rights."""

    def __init__(self, use: Use, given: list[Right], nodes: tuple[str, ...], folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, dict[str, int]] = {node: {} for node in nodes}
        stores = NodeStores({node: new_stores("local", "local-zfs") for node in nodes})
        self.api = SimPve(user="root@pam", password="-", host="127.0.0.1", port=0, stores=stores)
        self.api.major = use.version
        self.api.apitokens = {TOKEN: "secret"}
        self.api.store_upload = lambda node, content, name, data: self.files[node].update({f"{content}/{name}": len(data)})
        self.api.list_files = lambda node: self.files[node]
        self.api.remove_file = self._forget
        self.api.touched = self._boot
        for grant in grants(use, given):
            for who in (USER, TOKEN):
                self.api.assign(who, grant.path, grant.privileges, grant.propagate)

    def _forget(self, node: str, volume: str) -> None:
        self.files[node].pop(volume, None)

    def _boot(self, vmid: int) -> None:
        guest = self.api.guest(vmid)
        if guest is not None and guest.status == "running":
            guest.agent = {"interfaces": []}

    async def refusals(self, requests: list[Request]) -> list[str]:
        """What the API refused for want of a right."""
        await self.api.start(*make_cert(str(self.folder))[:2])
        try:
            headers = {"Authorization": f"PVEAPIToken={TOKEN}=secret"}
            async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(ssl=False)) as session:
                return [refused for request in requests if (refused := await self._ask(session, *request))]
        finally:
            await self.api.stop()

    async def _ask(self, session: aiohttp.ClientSession, method: str, path: str, body: str) -> str:
        data = body.encode("latin-1")
        kind = "application/x-www-form-urlencoded"
        if path.endswith("/upload"):
            boundary = data.partition(b"\r\n")[0].removeprefix(b"--").decode()
            kind = f"multipart/form-data; boundary={boundary}"
        plain, _, query = path.partition("?")
        url = f"{self.api.url}{urllib.parse.quote(plain)}?{urllib.parse.quote(query, safe='=&')}"
        async with session.request(method, url, data=data, headers={"Content-Type": kind}) as answer:
            message = str((await answer.json()).get("message") or "").strip() if answer.status >= 400 else ""
        while any(task["status"] == "running" for task in self.api.tasks.values()):
            await asyncio.sleep(0.001)
        said = [line for task in self.api.tasks.values() for line in task.get("log", [])]
        refused = [text for text in (message, *said) if re.search(r"ermission|only root|Only root|privileges", text)]
        return f"{method} {path}: {refused[-1]}" if refused else ""


def replay(use: Use, given: list[Right], requests: list[Request], folder: Path) -> list[str]:
    return asyncio.run(Replay(use, given, ("pve1", "pve2"), folder).refusals(requests))


@pytest.mark.parametrize("version", [9, 8])
def test_the_rights_together_suffice(recorded: tuple[Use, list[Request]], version: int, tmp_path: Path) -> None:
    use, requests = recorded
    other = replace(use, version=version)
    assert replay(other, rights(other), requests, tmp_path) == []


def test_each_right_is_needed_and_named(recorded: tuple[Use, list[Request]], tmp_path: Path) -> None:
    use, requests = recorded
    silent = []
    for right in rights(use):
        refused = replay(use, [other for other in rights(use) if other is not right], requests, tmp_path)
        named = rf"\({re.escape(paths(use, right.area)[0])}[^ ,]*, [\w.|]*{re.escape(right.privilege)}"
        # Proxmox refuses a new guest without saying why.
        bare = right.privilege == "VM.Allocate" and any(line.endswith("Permission check failed") for line in refused)
        if not bare and not any(re.search(named, line) for line in refused):
            silent.append((right.privilege, right.area, refused[:1]))
    # Of tasks and pools, Proxmox leaves out without a word what one may not see.
    assert silent == [("Sys.Audit", "Nodes", []), ("Pool.Audit", "Pools", [])]
