"""System closures of the simulator: directories with what an activation reads, made from a host's sources and facts.

A closure's name depends on the host's source closure alone, so that the same sources give the same store path. Its services
are those that the inventory's health checks and service table name, each listening on its ports.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aether_sim.fakes.nixos_image import SSHD, SWITCH, kernel_of
from aether_sim.fakes.store import store_name
from aether_sim.operator.errors import NixError

# What reads the inventory is imported where that is done: a deployment builds what was evaluated before, fifty at a time.

_WANTS = "etc/systemd/system/multi-user.target.wants"
_KERNEL_LINE = re.compile(r"^\s*boot\.(?:kernel|initrd)[\w.]*\s*=.*$", re.MULTILINE)


def inventory_of(repository: Path, host: str) -> tuple[list[Path], Mapping[str, Any], Mapping[str, Any]]:
    """The inventory files, and of the one that names the host: its document and the host's facts. Raises NixError."""
    from inventory.overlay import document as tables_of
    from inventory.overlay import environment_of

    files = sorted((repository / "inventory").glob("*.toml"))
    for path in [*files, *extra_inventories(repository)]:
        document = tables_of(path)
        for name, facts in document.get("hosts", {}).items():
            if host in (name, facts.get("flake")):
                known = path.parent == repository / "inventory"
                return (environment_of(path) if known else [path]), document, {**facts, "name": name}
    raise NixError(
        f"error: flake 'path:{repository}' does not provide attribute 'nixosConfigurations.{host}.config.system.build.toplevel'"
    )


def extra_inventories(repository: Path) -> list[Path]:
    """Inventories that the running simulator was started with (benchmarks)."""
    from aether_sim.paths import SimPaths

    try:
        options = json.loads((SimPaths.of_checkout(repository).state / "options.json").read_text())
    except (OSError, ValueError):
        return []
    return [Path(path) for path in options.get("inventories", []) if Path(path).exists()]


def evaluated(repository: Path, host: str) -> dict[str, Any]:
    """What the host's derivation holds: host, digest of everything it is made of, its facts and the tables that it reads.

    Raises NixError.
    """
    from components.nixos.source_closure import source_hash

    files, document, facts = inventory_of(repository, host)
    digest = source_hash(repository, files, facts["name"])
    # A file that is nothing but a throw stands for a configuration that does not evaluate.
    failing = re.compile(r"(?:\s*#[^\n]*\n)*\s*throw\s+\"([^\"]*)\"\s*")
    for path in host_files(repository, facts):
        found = failing.fullmatch(path.read_text(errors="replace"))
        if found:
            raise NixError(f"error: {found[1]}\n       at {path}")
    services = {name: service for name, service in document.get("services", {}).items() if service.get("host") == facts["name"]}
    tables = {"services": services, "cache": document.get("cache")}
    return {"host": facts["name"], "digest": digest, "facts": dict(facts), "tables": tables}


def host_files(repository: Path, facts: Mapping[str, Any]) -> list[Path]:
    """The host's own Nix files."""
    base = repository / "nix" / "hosts"
    found: list[Path] = []
    name = facts.get("stands_for", facts["name"])
    for place in (base / str(facts.get("node", "")) / name, base / name):
        if place.with_name(place.name + ".nix").is_file():
            found.append(place.with_name(place.name + ".nix"))
        if place.is_dir():
            found += sorted(place.rglob("*.nix"))
    return found


def name_of(host: str, digest: str) -> str:
    """The store name of a host's system."""
    return store_name(hashlib.sha256(f"system {host} {digest}".encode()).digest(), f"nixos-system-{host}-25.05.{digest[:7]}")


def build(repository: Path, store: Path, derivation: Mapping[str, Any]) -> str:
    """Make the closure of what was EVALUATED in the operator's store if it is not there; its store name. Raises NixError."""
    digest, facts = derivation["digest"], derivation["facts"]
    name = name_of(derivation["host"], digest)
    target = store / name
    if not target.exists():
        draft = store / f".{name}.{os.getpid()}"
        shutil.rmtree(draft, ignore_errors=True)
        _write_system(draft, repository, derivation["tables"], facts, digest)
        try:
            draft.rename(target)
        except OSError:
            shutil.rmtree(draft, ignore_errors=True)
            if not target.exists():
                raise
    return name


def _write_system(target: Path, repository: Path, tables: Mapping[str, Any], facts: Mapping[str, Any], digest: str) -> None:
    name, version = facts["name"], f"25.05.{digest[:7]}"
    texts = {"sshd.service": SSHD, **unit_files(tables, facts, digest)}
    files = {
        "etc/hostname": name + "\n",
        "etc/os-release": f'NAME=NixOS\nID=nixos\nVERSION_ID="25.05"\nBUILD_ID="{version}"\n',
        "nixos-version": version,
        "system": "x86_64-linux",
        "packages.json": json.dumps(packages(texts, digest), indent=1),
        "init": f"#!/bin/sh\n# stage 2 init of {name}, {digest}\n",
    }
    if facts["kind"] != "nixos-lxc":
        own = [line for path in host_files(repository, facts) for line in _KERNEL_LINE.findall(path.read_text(errors="replace"))]
        kernel = kernel_of(repository) + "".join(line.strip() + "\n" for line in own)
        files |= {"kernel": kernel, "initrd": "initrd of " + kernel, "kernel-params": "loglevel=4", "boot-tries": "3\n"}
    target.mkdir()
    if facts.get("ssh_user", "root") != "root" or facts.get("roams"):
        from aether_sim.operator import own_scripts

        texts |= own_scripts.write(target, repository, facts, tables.get("cache"))
    links = {f"{_WANTS}/{unit}": f"../{unit}" for unit in texts if unit != "aether-order.service"}
    for path, link in {**links, "bin/switch-to-configuration": SWITCH, "sw/bin": "/usr/bin"}.items():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).symlink_to(link)
    for path, text in {**files, **{f"etc/systemd/system/{unit}": text for unit, text in texts.items()}}.items():
        (target / path).write_text(text)
    (target / "init").chmod(0o755)


def unit_files(tables: Mapping[str, Any], facts: Mapping[str, Any], digest: str) -> dict[str, str]:
    """Unit name -> text: a unit for each health check and service; ports go to the first unit that has none of its own."""
    checks, name = facts.get("health", ()), facts["name"]
    units = dict.fromkeys(check["unit"] for check in checks if "unit" in check and check["unit"] != "sshd.service")
    listens: dict[str, str] = {}
    for check in checks:
        if "tcp" in check:
            listens.setdefault(str(check["tcp"]), "tcp")
        elif "http" in check:
            url = urlsplit(check["http"])
            port = url.port or (443 if url.scheme == "https" else 80)
            listens[str(port)] = f"{url.scheme}/{check.get('status', 200)}"
    for service in tables.get("services", {}).values():
        if service.get("host") == name and listens.get(str(service["port"]), "tcp") == "tcp":
            listens[str(service["port"])] = f"{service.get('scheme', 'http')}/200"
    listens.pop(str(facts.get("ssh_port", 22)), None)
    first = next((unit for unit in units if unit.endswith(".service")), None)
    if listens and first is None:
        first = f"{name}.service"
        units |= {first: None}
    texts = {}
    for unit in units:
        stem = unit.removesuffix(".service")
        # Sockets, timers and the like: active once started; what they would start is a service of its own here.
        run = f"[Service]\nType=notify\nExecStart=/nix/store/{name_hash(stem, digest)}-{stem}/bin/{stem}\n\n"
        texts[unit] = (
            f"[Unit]\nDescription={stem} of {name}\n\n{run if unit != stem else ''}[Install]\nWantedBy=multi-user.target\n\n"
            "[X-Simulator]\nSimulate=yes\n"
            + "".join(f"Listen={port}/{kind}\n" for port, kind in sorted(listens.items()) if unit == first)
        )
    return texts


def name_hash(stem: str, digest: str) -> str:
    """A stable hash part for a package of a system."""
    return store_name(hashlib.sha256(f"{stem} {digest}".encode()).digest(), "x").partition("-")[0]


def packages(units: Mapping[str, str], digest: str) -> dict[str, str]:
    """Package -> version, for the difference of two systems."""
    found = {unit.removesuffix(".service"): f"1.0-{digest[:7]}" for unit in units if unit != "sshd.service"}
    return {"nixos-system": f"25.05.{digest[:7]}", "openssh": "10.0p2", **found}
