"""Who can build a host's system: refused at preview, with the line to write, where nobody of the inventory's choice can."""

import json
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from components.nixos.tool import nix_command
from inventory.load import Inventory
from inventory.models import NixosHost


def foreign(hosts: Mapping[str, NixosHost]) -> bool:
    """Whether the operator builds one of HOSTS that is of another platform than this machine."""
    own = f"{platform.machine()}-{sys.platform}"
    return any(facts.build_on == "operator" and facts.system != own for facts in hosts.values())


def unbuildable(hosts: Mapping[str, NixosHost], operator: frozenset[str] | None) -> list[str]:
    """Why the builders of HOSTS cannot build them, a sentence a host; OPERATOR is what the operator's Nix builds for."""
    problems = []
    for name, facts in hosts.items():
        wanted, builder = facts.system, facts.build_on
        if builder == "operator" and operator is not None and wanted not in operator:
            can = f"the operator's Nix builds for {', '.join(sorted(operator))}"
        elif builder in hosts and hosts[builder].system != wanted:
            can = f"{builder} is {hosts[builder].system}"
        else:
            continue
        capable = [other for other, those in hosts.items() if other != name and those.system == wanted]
        also = f" (or a builder: {', '.join(capable)})" if capable else ""
        problems.append(f'hosts.{name}.build_on: {name} is {wanted}, and {can}. Fix: write build_on = "target"{also}')
    return problems


def operator_systems(nix: str) -> frozenset[str] | None:
    """What the operator's Nix builds for: itself, by emulation (extra-platforms), on its builders. None without Nix."""
    command = [*nix_command(nix), "config", "show", "--json"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        told = json.loads(asked.stdout) if asked.returncode == 0 else {}
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    if not told:
        return None
    values = {name: told.get(name, {}).get("value") for name in ("system", "extra-platforms", "builders")}
    return frozenset({values["system"], *(values["extra-platforms"] or ()), *_of_builders(values["builders"] or "")})


def builders_systems(inventory: Inventory) -> frozenset[str]:
    """What the inventory's builders build for."""
    builders = inventory.content.builders.items()
    return frozenset(system for name, builder in builders for system in builder.systems or (system_of(inventory.hosts[name]),))


def system_of(host: object) -> str:
    """What Nix calls the platform of HOST."""
    return str(getattr(host, "system", "x86_64-linux"))


def _of_builders(text: str) -> set[str]:
    """Second field of each builder: systems, with commas. ``@FILE`` is a file of them."""
    found: set[str] = set()
    for line in re.split(r"[;\n]", text):
        words = line.split("#")[0].split()
        if words and words[0].startswith("@"):
            file = Path(words[0][1:])
            found |= _of_builders(file.read_text()) if file.is_file() else set()
        elif words:
            # A builder that names none has the operator's own.
            found |= set(words[1].split(",")) - {"-"} if len(words) > 1 else set()
    return found
