"""Tasks of the cluster's: one that holds a guest (a backup at night) is waited for by its name; warnings are shown."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from inventory.load import Inventory
from ops.examine import Api, connect
from ops.stack import OpsError, Stack

# Kind of lock to the type of the task that takes it.
_TASKS = {"backup": "vzdump", "migrate": "qmigrate", "clone": "qmclone", "snapshot": "qmsnapshot", "rollback": "qmrollback"}


def wait(
    stack: Stack,
    inventory: Inventory,
    say: Callable[[str], None],
    *,
    seconds: float = 3600,
    pause: float = 5,
    api: Api | None = None,
) -> None:
    """Return once no guest of the inventory is locked. What holds one is said when that changes.

    An API that cannot be asked is left to the engine, which says what is wrong.

    Raises:
        OpsError: one is locked still after SECONDS.
    """
    if not inventory.guests():
        return
    try:
        asked = api or connect(stack.name, _settings(stack))
        begun, told = time.monotonic(), ""
        while locked := holders(asked, inventory):
            text = "; ".join(f"{name} is locked by {by}" for name, by in locked.items())
            if text != told:
                say(f"{text}: waits for it.")
                told = text
            if time.monotonic() - begun > seconds:
                fix = (
                    "look at the node's task list; a lock that its task left behind: qm unlock VMID (pct unlock VMID) on the node"
                )
                raise LockedTooLong(f"Nothing was changed: {text}, for {seconds / 60:.0f} minutes. Fix: {fix}")
            time.sleep(pause)
    except LockedTooLong:
        raise
    except (OpsError, OSError, ValueError):
        return


def warnings(stack: Stack, inventory: Inventory, since: float, *, api: Api | None = None) -> list[str]:
    """Tasks of the inventory's guests that began after SINCE (seconds of the epoch) and ended with warnings, a line each.

    Proxmox counts them as done, and so does the provider, which says nothing.
    """
    names = {str(facts.vmid): name for name, facts in inventory.guests().items()}
    if not names:
        return []
    try:
        asked = api or connect(stack.name, _settings(stack))
        online = [item["node"] for item in asked("/nodes") or [] if item.get("status") == "online"]
        found = [task for node in online for task in asked(f"/nodes/{node}/tasks?source=all") or []]
    except (OpsError, OSError, ValueError):
        return []
    return [
        f"{names[str(task['id'])]}: task {task['type']} ended with warnings; on {task['node']}: pvenode task log {task['upid']}"
        for task in found
        if str(task.get("status", "")).startswith("WARNINGS")
        and str(task.get("id")) in names
        and int(task.get("starttime") or 0) >= int(since)
    ]


class LockedTooLong(OpsError):
    """A guest stayed locked."""


def holders(api: Api, inventory: Inventory) -> dict[str, str]:
    """Guests of the inventory that are locked, and what holds each: the task, its node and its start, where one runs."""
    names = {facts.vmid: name for name, facts in inventory.guests().items()}
    found = api("/cluster/resources?type=vm") or []
    locked = {int(item["vmid"]): item for item in found if item.get("lock") and int(item["vmid"]) in names}
    running = {
        node: [task for task in api(f"/nodes/{node}/tasks?source=active") or [] if not task.get("endtime")]
        for node in sorted({str(item["node"]) for item in locked.values()})
    }
    return {names[vmid]: _holder(str(item["lock"]), vmid, running[str(item["node"])]) for vmid, item in sorted(locked.items())}


def _holder(lock: str, vmid: int, running: list[dict[str, Any]]) -> str:
    for task in running:
        # One backup job works on many guests and names none.
        if task.get("type") == _TASKS.get(lock, lock) and str(task.get("id") or vmid) == str(vmid):
            since = time.strftime("%H:%M", time.localtime(int(task.get("starttime") or 0)))
            return f"task {task['type']} on {task.get('node')} since {since} ({lock})"
    return f"a task of kind '{lock}'"


def _settings(stack: Stack) -> Mapping[str, str]:
    if stack.simulated:
        keys = ("proxmoxEndpoint", "proxmoxCa", "proxmoxInsecure", "proxmoxApiToken", "proxmoxUsername", "proxmoxPassword")
        return {key: value for key in keys if (value := stack.setting(key))}
    text = stack.output("config", "--show-secrets", "--json")
    return {name.removeprefix("aether:"): str(item.get("value", "")) for name, item in json.loads(text).items()}
