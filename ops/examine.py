"""What a real stack needs around it, looked at and never changed: state, secrets, the Proxmox API, its token, the nodes."""

import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from inventory import proxmox_rights
from inventory.files import REPOSITORY
from inventory.load import Inventory
from inventory.models import Guest
from inventory.problems import some
from inventory.proxmox_rights import LEAST_VERSION
from inventory.secret_store import SecretStoreError, tool
from ops import nodes, workplace
from ops.arguments import nothing
from ops.finding import Finding
from ops.fleet import inventory_of
from ops.stack import OpsError, Stack

Api = Callable[[str], Any]


def doctor(stack: Stack, arguments: list[str]) -> int:
    """What the stack needs around it, each thing with the line that mends it. Nothing is changed."""
    nothing("doctor", doctor, arguments)
    wrong = 0
    for finding in examine(stack, inventory_of(stack)):
        print(finding, flush=True)
        wrong += bool(finding.fix)
    print("\nAll is well." if not wrong else f"\n{wrong} to mend.")
    return 1 if wrong else 0


def examine(stack: Stack, inventory: Inventory) -> Iterator[Finding]:
    """Everything, what the rest builds on first. What one thing needs and lacks keeps no other from being looked at."""
    yield from workplace.examine(stack, inventory)
    yield from secrets(stack)
    yield from cluster(stack, inventory)
    if inventory.nodes:
        yield from nodes.examine(stack, inventory)


def cluster(stack: Stack, inventory: Inventory) -> Iterator[Finding]:
    """The stack's state, and the Proxmox API by its settings."""
    try:
        settings = {
            name.removeprefix("aether:"): str(item.get("value", ""))
            for name, item in json.loads(stack.output("config", "--show-secrets", "--json")).items()
        }
    except (OpsError, ValueError) as error:
        text, _, fix = str(error).strip().partition(" Fix: ")
        said = (text.splitlines() or ["no answer"])[-1].removeprefix("error: ")
        yield Finding(
            "state backend", said, fix or f". ops/env.sh; pulumi login BACKEND; pulumi stack init {stack.name} (docs/state.md)"
        )
        return
    yield Finding("state backend", f"has stack {stack.name}, and its secrets can be read")
    if inventory.nodes:
        yield from proxmox(stack.name, settings, inventory)


def secrets(stack: Stack) -> Iterator[Finding]:
    """Whether the operator can decrypt."""
    import subprocess

    folder = REPOSITORY / (stack.setting("secrets") or "secrets")
    files = sorted(path for path in folder.rglob("*.yaml"))
    try:
        sops = tool("sops")
    except SecretStoreError as error:
        yield Finding("sops", "is missing", str(error).partition("Fix: ")[2])
        return
    if not files:
        yield Finding("secrets", f"{folder.name}/ holds no file", "./aether secrets init --new-owner")
        return
    run = subprocess.run(
        [sops, "decrypt", str(files[0])], env=stack.environment(), capture_output=True, text=True, check=False, cwd=REPOSITORY
    )
    name = files[0].relative_to(REPOSITORY) if files[0].is_relative_to(REPOSITORY) else files[0]
    if run.returncode:
        yield Finding("secrets", f"{name} cannot be decrypted", "export SOPS_AGE_KEY_FILE=FILE, the owner's private key")
    else:
        yield Finding("secrets", f"{name} can be decrypted")


def proxmox(stack: str, settings: Mapping[str, str], inventory: Inventory, api: Api | None = None) -> Iterator[Finding]:
    """Version, nodes, rights and storages, as the stack's own credentials see them."""
    try:
        asked = api or connect(stack, settings)
        version = str(asked("/version").get("version", ""))
        nodes = {str(item["node"]): str(item.get("status", "")) for item in asked("/nodes")}
        rights = asked("/access/permissions")
    except OpsError as error:
        said, _, fix = str(error).partition(" Fix: ")
        yield Finding("Proxmox API", said, fix)
        return
    old = tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < LEAST_VERSION
    least = ".".join(map(str, LEAST_VERSION))
    yield Finding("Proxmox VE", version, f"upgrade the nodes to {least} or newer" if old else "")
    for name in inventory.nodes:
        yield _node(name, nodes)
    major = 8 if version.startswith("8") else 9
    lacking = proxmox_rights.lacking(proxmox_rights.Use.of(inventory.content.model_dump(), major), rights)
    yield Finding(
        "rights of the token",
        f"lack {some(lacking, 4)}" if lacking else "are what the inventory needs",
        f"./aether --stack {stack} proxmox role --pve {major}" if lacking else "",
    )
    for name in inventory.nodes:
        if nodes.get(name) == "online":
            yield from storages(inventory, name, asked)


def storages(inventory: Inventory, node: str, api: Api) -> Iterator[Finding]:
    """Whether the storages that the inventory names on NODE are there and take what is put on them."""
    facts = inventory.nodes[node]
    guests = [host for host in inventory.hosts.values() if isinstance(host, Guest) and host.node == node]
    wanted: dict[str, set[str]] = {}
    for host in guests:
        virtual = host.kind == "nixos-vm"
        wanted.setdefault(facts.image_datastore, set()).add("import" if virtual else "vztmpl")
        for disk in host.disks:
            wanted.setdefault(disk.datastore or facts.disk_datastore, set()).add("images" if virtual else "rootdir")
    try:
        found = {str(item["storage"]): item for item in api(f"/nodes/{node}/storage")}
    except OpsError as error:
        said, _, fix = str(error).partition(" Fix: ")
        yield Finding(f"storages of {node}", said, fix)
        return
    for storage, kinds in wanted.items():
        item = found.get(storage)
        if item is None:
            names = ", ".join(sorted(found)) or "none that the token may see"
            fix = f"name another in inventory {inventory.path.name}, [nodes.{node}], or add it: pvesm add"
            yield Finding(f"{storage} on {node}", f"is not there; there is {names}", fix)
            continue
        takes = [kind for kind in str(item.get("content", "")).split(",") if kind]
        missing = sorted(kinds - set(takes))
        if missing:
            fix = f"on a node: pvesm set {storage} --content {','.join([*takes, *missing])}"
            yield Finding(f"{storage} on {node}", f"does not take {', '.join(missing)}", fix)
        elif not item.get("active", 1):
            yield Finding(f"{storage} on {node}", "is not active", f"on {node}: pvesm status --storage {storage}")
        else:
            free = int(item.get("avail") or 0) // 2**30
            yield Finding(f"{storage} on {node}", f"takes {', '.join(sorted(kinds))}; {free} GiB free")


def connect(stack: str, settings: Mapping[str, str]) -> Api:
    """A function that asks the stack's Proxmox API.

    Raises:
        OpsError: when asked and it does not answer, or when the stack has no credentials.
    """
    endpoint = settings.get("proxmoxEndpoint", "").rstrip("/")
    token, password = settings.get("proxmoxApiToken"), settings.get("proxmoxPassword")
    if not endpoint or not (token or password):
        what = (
            "aether:proxmoxEndpoint https://NODE:8006/"
            if not endpoint
            else "--secret aether:proxmoxApiToken 'USER@REALM!NAME=UUID'"
        )
        raise OpsError(
            f"the stack has no {'endpoint' if not endpoint else 'credentials'}. Fix: pulumi -s {stack} config set {what}"
        )
    authority = REPOSITORY / settings["proxmoxCa"] if settings.get("proxmoxCa") else None
    if authority is not None and not authority.is_file():
        raise OpsError(f"{authority.name} is not there. Fix: scp root@NODE:/etc/pve/pve-root-ca.pem {settings['proxmoxCa']}")
    context = ssl.create_default_context(cafile=authority)
    if settings.get("proxmoxInsecure") == "true":
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    headers: dict[str, str] = {}

    def get(path: str, data: bytes | None = None) -> Any:
        request = urllib.request.Request(f"{endpoint}/api2/json{path}", data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20, context=context) as answer:
                return json.load(answer).get("data")
        except urllib.error.HTTPError as error:
            raise OpsError(f"{path}: {error.code} {error.reason}. Fix: {_remedy(stack, error.code)}") from None
        except urllib.error.URLError as error:
            untrusted = isinstance(error.reason, ssl.SSLError)
            fix = (
                "compare aether:proxmoxCa with /etc/pve/pve-root-ca.pem of a node"
                if untrusted
                else "is the node up, is aether:proxmoxEndpoint right?"
            )
            raise OpsError(f"{endpoint} cannot be asked: {error.reason}. Fix: {fix}") from None

    if token:
        headers["Authorization"] = f"PVEAPIToken={token}"
    else:
        form = urllib.parse.urlencode({"username": settings.get("proxmoxUsername", ""), "password": password or ""})
        headers["Cookie"] = f"PVEAuthCookie={get('/access/ticket', form.encode())['ticket']}"
    return get


def _node(name: str, nodes: Mapping[str, str]) -> Finding:
    if name not in nodes:
        there: Iterable[str] = sorted(nodes)
        return Finding(
            f"node {name}",
            f"is not in this cluster, which has {', '.join(there)}",
            "one cluster a stack: name its nodes as it does",
        )
    online = nodes[name] == "online"
    return Finding(f"node {name}", nodes[name] or "unknown", "" if online else "start it; `up` leaves out what is on it")


def _remedy(stack: str, code: int) -> str:
    if code == 401:
        return f"pulumi -s {stack} config set --secret aether:proxmoxApiToken 'USER@REALM!NAME=UUID'"
    if code == 403:
        return "give the token its role: docs/proxmox.md"
    return "journalctl -u pveproxy -u pvedaemon on the node"
