"""`doctor` of a real stack: what it finds, and the line that mends it."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from inventory.load import load
from inventory.proxmox_rights import Use, grants
from ops import examine
from ops.finding import Finding
from ops.stack import OpsError, Stack

INVENTORY = load(Path("inventory/homelab.toml"))
RIGHTS: dict[str, dict[str, int]] = {}
for version in (8, 9):
    for grant in grants(Use.of(INVENTORY.content.model_dump(), version)):
        RIGHTS.setdefault(grant.path, {}).update(dict.fromkeys(grant.privileges, 1))
CONTENT = {"local": "iso,vztmpl,backup,import", "local-lvm": "rootdir,images", "local-zfs": "rootdir,images"}


def cluster(**answers: Any) -> examine.Api:
    """The API of a cluster where all is well, but for ANSWERS by path."""
    stores = {
        name: {"storage": name, "content": content, "active": 1, "avail": 2**40}
        for name, content in {**CONTENT, **{node.disk_datastore: "rootdir,images" for node in INVENTORY.nodes.values()}}.items()
    }
    well = {
        "/version": {"version": "9.1.2"},
        "/nodes": [{"node": name, "status": "online"} for name in INVENTORY.nodes],
        "/access/permissions": RIGHTS,
        **{f"/nodes/{name}/storage": list(stores.values()) for name in INVENTORY.nodes},
        **answers,
    }

    def get(path: str) -> Any:
        if isinstance(well[path], Exception):
            raise well[path]
        return well[path]

    return get


def wrong(api: examine.Api) -> list[Finding]:
    return [finding for finding in examine.proxmox("homelab", {}, INVENTORY, api) if finding.fix]


def test_where_all_is_well_nothing_is_wrong() -> None:
    assert wrong(cluster()) == []


@pytest.mark.parametrize(("version", "old"), [("8.3.5", True), ("7.4-3", True), ("8.4.0", False), ("9.0", False)])
def test_an_old_version_is_named(version: str, old: bool) -> None:
    found = wrong(cluster(**{"/version": {"version": version}}))
    assert [(finding.state, finding.fix) for finding in found] == (
        [(version, "upgrade the nodes to 8.4 or newer")] if old else []
    )


def test_a_stock_storage_does_not_take_images() -> None:
    stock = [{"storage": "local", "content": "iso,vztmpl,backup"}, *cluster()("/nodes/niobe/storage")[1:]]
    found = wrong(cluster(**{"/nodes/niobe/storage": stock}))
    assert [(finding.name, finding.fix) for finding in found] == [
        ("local on niobe", "on a node: pvesm set local --content iso,vztmpl,backup,import")
    ]


def test_a_storage_of_another_name_is_named_with_those_that_are_there() -> None:
    found = wrong(cluster(**{"/nodes/niobe/storage": [{"storage": "tank", "content": "images,import"}]}))
    assert {finding.state for finding in found} == {"is not there; there is tank"}
    assert all("[nodes.niobe]" in finding.fix for finding in found)


def test_a_token_without_rights_and_nodes_that_are_not_there() -> None:
    nodes = [{"node": "oracle", "status": "online"}, {"node": "niobe", "status": "offline"}]
    found = wrong(cluster(**{"/access/permissions": {}, "/nodes": nodes}))
    said = [(finding.name, finding.state) for finding in found]
    assert said == [
        ("node niobe", "offline"),
        ("node trinity", "is not in this cluster, which has niobe, oracle"),
        ("rights of the token", said[-1][1]),
    ]
    assert said[-1][1].startswith("lack VM.Allocate on /vms, VM.Audit on /vms, ")


def test_one_right_that_is_missing_is_named_with_the_command_that_prints_it() -> None:
    short = {**RIGHTS, "/vms": {name: 1 for name in RIGHTS["/vms"] if name != "VM.Config.Disk"}}
    assert [(finding.state, finding.fix) for finding in wrong(cluster(**{"/access/permissions": short}))] == [
        ("lack VM.Config.Disk on /vms", "./aether --stack homelab proxmox role --pve 9")
    ]
    above = {"/": {name: 1 for of_path in RIGHTS.values() for name in of_path}}
    assert wrong(cluster(**{"/access/permissions": above})) == []


def test_an_api_that_refuses_is_one_finding() -> None:
    found = list(examine.proxmox("homelab", {}, INVENTORY, cluster(**{"/version": OpsError("no. Fix: do this")})))
    assert found == [Finding("Proxmox API", "no.", "do this")]


@pytest.mark.parametrize("settings", [{}, {"proxmoxEndpoint": "https://x:8006/"}])
def test_what_the_stack_was_not_told_is_named(settings: dict[str, str]) -> None:
    found = list(examine.proxmox("homelab", settings, INVENTORY))
    assert len(found) == 1
    assert found[0].fix.startswith("pulumi -s homelab config set ")


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        token = self.headers["Authorization"]
        code = 200 if token == "PVEAPIToken=a@pve!b=c" and self.path == "/api2/json/version" else 401
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps({"data": {"version": "9.0"}}).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served() -> Iterator[str]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()


def test_the_stacks_token_is_used(served: str) -> None:
    assert examine.connect("homelab", {"proxmoxEndpoint": served, "proxmoxApiToken": "a@pve!b=c"})("/version") == {
        "version": "9.0"
    }
    with pytest.raises(OpsError, match=r"401 .*config set --secret aether:proxmoxApiToken"):
        examine.connect("homelab", {"proxmoxEndpoint": served, "proxmoxApiToken": "a@pve!b=d"})("/version")
    with pytest.raises(OpsError, match="cannot be asked"):
        examine.connect("homelab", {"proxmoxEndpoint": "http://127.0.0.1:1/", "proxmoxApiToken": "x"})("/version")


def test_a_stack_that_cannot_be_read_is_said_and_that_is_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def output(self: Stack, *arguments: str) -> str:
        raise OpsError("error: no stack named 'homelab' found")

    monkeypatch.setattr(Stack, "output", output)
    assert [finding.fix for finding in examine.cluster(Stack("homelab"), INVENTORY)] == [
        ". ops/env.sh; pulumi login BACKEND; pulumi stack init homelab (docs/state.md)"
    ]


def test_a_stack_whose_secrets_are_sealed_is_not_told_to_be_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    said = (
        "error: getting stack configuration: get stack secrets manager: secrets (code=Unknown): Error making API request.\n\n"
        "URL: PUT http://bao.example.org:8200/v1/transit/decrypt/aether\nCode: 503. Errors:\n\n* SecretStore is sealed"
    )
    monkeypatch.setattr("ops.stack.subprocess.run", lambda *words, **named: CompletedProcess([], 255, "", said))
    (found,) = examine.cluster(Stack("homelab"), INVENTORY)
    assert found.state.endswith("http://bao.example.org:8200 is sealed. Nothing was changed.")
    assert found.fix == "bao operator unseal, at that server"
