"""What the cluster, the guests and a preview say of guests."""

import json
import re
import time
from typing import Any

import yaml

from stacks.cluster import connect
from tests.system.checkout import Checkout, Result


def api(checkout: Checkout) -> Any:
    """The cluster's API, as its owner."""
    config = yaml.safe_load((checkout.path / ".aether/sim/Pulumi.sim.yaml").read_text())["config"]
    password = json.loads((checkout.path / ".aether/sim/pve/settings.json").read_text())["password"]
    login = {"user": "root@pam", "password": password}
    return connect(config["aether:proxmoxEndpoint"], login, authority=config["aether:proxmoxCa"])


def task(checkout: Checkout, upid: str) -> None:
    """Wait for a task; it must end well."""
    node = upid.split(":")[1]
    deadline = time.monotonic() + 60
    while (status := api(checkout).nodes(node).tasks(upid).status.get())["status"] != "stopped":
        assert time.monotonic() < deadline, status
    assert status["exitstatus"] == "OK", status


def guest(checkout: Checkout, vmid: int) -> dict[str, Any]:
    """The cluster's entry of a guest."""
    return next(item for item in api(checkout).cluster.resources.get(type="vm") if item["vmid"] == vmid)


def boot(checkout: Checkout, host: str) -> str:
    return checkout.ssh(host, "cat /proc/sys/kernel/random/boot_id").text


def replaces(result: Result) -> list[str]:
    """Lines of a preview in which a guest is made, replaced or deleted."""
    return re.findall(r"^ *(?:\+|-|\+-|\+\+|--)\s*proxmoxve:index/(?:vm|container)Legacy.*$", result.text, re.MULTILINE)


def boots(checkout: Checkout) -> dict[str, str]:
    return {host: checkout.ssh(host, "cat /proc/sys/kernel/random/boot_id").text for host in ("web", "dns", "log")}


def settled(checkout: Checkout, *arguments: str) -> bool:
    """Whether another preview has nothing to do."""
    preview = checkout.preview(*arguments)
    assert preview.code == 0, preview.text
    assert set(preview.changes()) == {"unchanged"}, preview.text
    return True


def steps(checkout: Checkout) -> dict[str, tuple[str, dict[str, str]]]:
    """What a preview would do, by `Type::name`: the operation, and the kind of change by property."""
    code = (
        "import json; from ops.review import preview_steps; from ops.stack import Stack; "
        "print(json.dumps([[s['urn'], s['op'], s.get('detailedDiff')] for s in preview_steps(Stack('sim'))]))"
    )
    result = checkout.run(checkout.python, "-c", code)
    assert result.code == 0, result.text
    found = {}
    for urn, operation, difference in json.loads(result.text.strip().splitlines()[-1]):
        kind, name = urn.split("$")[-1].split("::")[-2:]
        found[f"{kind.rsplit(':', 1)[-1]}::{name}"] = (
            operation,
            {path: change["kind"] for path, change in (difference or {}).items()},
        )
    return found
