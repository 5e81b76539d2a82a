#!/usr/bin/python
"""Install or remove packages by the distribution's own command: apt, dnf, apk or rpm-ostree.

The modules of ansible-core need Python bindings on the host (python3-apt, python3-dnf or python3-libdnf5), which minimal
images, containers and Atomic desktops do not have; the commands are always there and the same for dnf 4 and 5.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: aether_packages
short_description: Packages by the distribution's command
description:
  - Installs or removes packages with apt, dnf, apk or rpm-ostree, whichever the host has.
  - On an Atomic host nothing is installed unless O(layer) is true; what is missing is returned as RV(missing).
options:
  name:
    description: Names of the packages, as the distribution calls them.
    type: list
    elements: str
    required: true
  state:
    description: Whether they must be there.
    type: str
    choices: [present, absent]
    default: present
  layer:
    description: Layer packages on an Atomic host; they are there after the next boot.
    type: bool
    default: false
  optional:
    description: Report a failed installation as RV(missing) and RV(reason) instead of failing.
    type: bool
    default: false
author: Aether
"""
EXAMPLES = r"""
- name: Samba
  aether_packages:
    name: [samba]
"""
RETURN = r"""
manager: {description: Command that was used., type: str, returned: always}
missing: {description: Packages that are still not there., type: list, returned: always}
reason: {description: Why they are missing., type: str, returned: when some are}
reboot_required: {description: Layered packages wait for a boot., type: bool, returned: always}
"""

Run = Callable[..., tuple[int, str, str]]


@dataclass(frozen=True)
class Manager:
    """How one package manager is asked and told."""

    name: str
    installed: Callable[[Run, str], bool]
    install: tuple[str, ...]
    remove: tuple[str, ...]
    refresh: tuple[str, ...] = ()


def _dpkg(run: Run, package: str) -> bool:
    code, out, _ = run(["dpkg-query", "--show", "--showformat", "${db:Status-Status}", package])
    return code == 0 and out.strip() == "installed"


def _rpm(run: Run, package: str) -> bool:
    # A capability (an alias, a group's member by path) counts like a name: dnf would install nothing for it either.
    return run(["rpm", "--query", "--quiet", "--whatprovides", package])[0] == 0


def _apk(run: Run, package: str) -> bool:
    return run(["apk", "info", "--installed", package])[0] == 0


# Seconds for somebody else's lock: a fresh Debian updates itself for minutes. dnf waits by itself, without an end.
WAIT = "600"
APT_WAIT = ("-o", f"DPkg::Lock::Timeout={WAIT}")
APT = Manager(
    "apt",
    _dpkg,
    ("apt-get", "install", "--yes", "--no-install-recommends", *APT_WAIT),
    ("apt-get", "remove", "--yes", *APT_WAIT),
    ("apt-get", "update", "--quiet"),
)
DNF = Manager("dnf", _rpm, ("dnf", "install", "--assumeyes"), ("dnf", "remove", "--assumeyes"))
APK = Manager(
    "apk",
    _apk,
    ("apk", "add", "--quiet", "--wait", WAIT),
    ("apk", "del", "--quiet", "--wait", WAIT),
    ("apk", "update", "--quiet", "--wait", WAIT),
)
RPM_OSTREE = Manager(
    "rpm-ostree",
    _rpm,
    ("rpm-ostree", "install", "--idempotent", "--allow-inactive"),
    ("rpm-ostree", "uninstall", "--idempotent"),
)


def find_manager(module: AnsibleModule) -> Manager:
    """The host's package manager. Fails the module when there is none (NixOS: the flake owns packages)."""
    if os.path.exists("/run/ostree-booted"):  # noqa: PTH110 - modules run on the host's Python, kept to os
        return RPM_OSTREE
    for manager in (APT, DNF, APK):
        if module.get_bin_path(manager.install[0]):
            return manager
    module.fail_json(msg="no apt-get, dnf, apk or rpm-ostree here; on NixOS write the package in the host's configuration")
    raise AssertionError  # fail_json does not return


def pending_layers(run: Run) -> set[str]:
    """Packages that the next boot of an Atomic host will have (rpm-ostree status --json: requested-packages)."""
    code, out, _ = run(["rpm-ostree", "status", "--json"])
    if code != 0:
        return set()
    try:
        deployments = json.loads(out).get("deployments", [])
    except ValueError:
        return set()
    first = deployments[0] if deployments else {}
    return {*first.get("requested-packages", ()), *first.get("packages", ())}


def refresh(run: Run, command: Sequence[str], seconds: float = float(WAIT), pause: float = 2) -> None:
    """Fetch what packages there are. `apt-get update` never waits for the lock of its lists: it is asked again.

    A failure is no reason to stop: the package may be in the cache or on a mirror that answers.
    """
    end = time.monotonic() + seconds
    while "Could not get lock" in run(list(command))[2] and time.monotonic() < end:
        time.sleep(pause)


def last_lines(text: str, count: int = 3) -> str:
    """The end of a command's output, where package managers say what went wrong."""
    lines = [line for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines() if line.strip()]
    return " / ".join(lines[-count:])


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "list", "elements": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "layer": {"type": "bool", "default": False},
            "optional": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    module.run_command_environ_update = {"LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    manager = find_manager(module)
    present = module.params["state"] == "present"

    def wrong() -> list[str]:
        return [name for name in module.params["name"] if manager.installed(module.run_command, name) != present]

    todo = wrong()
    waiting: list[str] = []
    if manager is RPM_OSTREE and todo:
        pending = pending_layers(module.run_command)
        waiting = [name for name in todo if (name in pending) == present]
        todo = [name for name in todo if name not in waiting]
    result = {"manager": manager.name, "changed": False, "missing": todo, "reboot_required": bool(waiting)}
    if not todo:
        module.exit_json(**result)
    if manager is RPM_OSTREE and not module.params["layer"]:
        result["reason"] = "an Atomic host gets packages by its image; put them in image/recipes or set layer: true"
        module.exit_json(**result)
    diff = {"before": "", "after": "".join(f"{'+' if present else '-'} {name}\n" for name in todo)}
    if module.check_mode:
        module.exit_json(**{**result, "changed": True, "diff": diff})

    command = [*(manager.install if present else manager.remove), *todo]
    if present and manager.refresh:
        refresh(module.run_command, manager.refresh)
    code, out, err = module.run_command(command)
    if code != 0:
        reason = f"`{' '.join(command)}` ended with {code}: {last_lines(err or out)}"
        if module.params["optional"]:
            module.exit_json(**{**result, "reason": reason})
        module.fail_json(msg=reason, **{key: value for key, value in result.items() if key != "changed"})
    layered = manager is RPM_OSTREE
    module.exit_json(**{**result, "changed": True, "missing": [], "diff": diff, "reboot_required": layered or bool(waiting)})


if __name__ == "__main__":
    main()
