"""Who can build a host's system: refused at preview, with the line to write, where nobody of the inventory's choice can."""

import json
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from inventory.models import CloudVm, HcloudVm, NixosFacts

# Graviton: t4g.small, c7gn.large. As nix/images/amazon.nix and nix/images/hetzner.nix decide what is built.
_ARM_INSTANCE = re.compile(r"[a-z]+[0-9]+g[a-z]*\..*")


def system_of(facts: NixosFacts) -> str:
    """What Nix calls the host's platform, like aarch64-linux."""
    arm = (isinstance(facts, CloudVm) and _ARM_INSTANCE.fullmatch(facts.instance_type)) or (
        isinstance(facts, HcloudVm) and facts.server_type.startswith("cax")
    )
    return "aarch64-linux" if arm else "x86_64-linux"


def foreign(hosts: Mapping[str, NixosFacts]) -> bool:
    """Whether the operator builds one of HOSTS that is of another platform than this machine."""
    own = f"{platform.machine()}-{sys.platform}"
    return any(facts.build_on == "operator" and system_of(facts) != own for facts in hosts.values())


def unbuildable(hosts: Mapping[str, NixosFacts], operator: frozenset[str] | None) -> list[str]:
    """Why the builders of HOSTS cannot build them, a sentence a host; OPERATOR is what the operator's Nix builds for."""
    problems = []
    for name, facts in hosts.items():
        wanted, builder = system_of(facts), facts.build_on
        if builder == "operator" and operator is not None and wanted not in operator:
            can = f"the operator's Nix builds for {', '.join(sorted(operator))}"
        elif builder in hosts and system_of(hosts[builder]) != wanted:
            can = f"{builder} is {system_of(hosts[builder])}"
        else:
            continue
        capable = [other for other, those in hosts.items() if other != name and system_of(those) == wanted]
        also = f" (or a builder: {', '.join(capable)})" if capable else ""
        problems.append(f'hosts.{name}.build_on: {name} is {wanted}, and {can}. Fix: write build_on = "target"{also}')
    return problems


def operator_systems(nix: str) -> frozenset[str] | None:
    """What the operator's Nix builds for: itself, by emulation (extra-platforms), on its builders. None without Nix."""
    command = [nix, "--extra-experimental-features", "nix-command flakes", "config", "show", "--json"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        told = json.loads(asked.stdout) if asked.returncode == 0 else {}
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    if not told:
        return None
    values = {name: told.get(name, {}).get("value") for name in ("system", "extra-platforms", "builders")}
    return frozenset({values["system"], *(values["extra-platforms"] or ()), *_of_builders(values["builders"] or "")})


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
