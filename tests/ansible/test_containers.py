"""Containers to work in, by the role itself against commands that note how they were called."""

import json
from pathlib import Path

import pytest

from tests.ansible.conftest import REPO
from tests.ansible.rendering import run

# $LOG takes every call; podman knows the container that $KNOWN names; nothing can be installed that is not here.
TOOLS = {
    "distrobox": 'echo "distrobox $*" >> "$LOG"',
    "toolbox": 'echo "toolbox $*" >> "$LOG"',
    "podman": '[ "$3" = "$KNOWN" ]',
    "apk": '[ "$1" = info ] && [ -e "${0%/*}/$3" ]',
}
IMAGE = "ghcr.io/example/aether-kinoite-nvidia:latest"


def containers(folder: Path, *tools: str, nix: bool, os: str = "fedora") -> tuple[str, list[str]]:
    """The role on a machine with these tools, with and without Nix: what was called, and what is left to do."""
    bin_, log = folder / "bin", folder / "log"
    bin_.mkdir()
    log.touch()
    for name in ("apk", "podman", *tools):
        tool = bin_ / name
        tool.write_text(f"#!/bin/sh\n{TOOLS[name]}\n")
        tool.chmod(0o755)
    store = folder / "nix"
    if nix:
        store.mkdir()
    values = {
        "bootstrap_nixos": os == "nixos",
        "bootstrap_path": str(bin_),
        "bootstrap_user": "root",
        "bootstrap_notes": [],
        "toolbox_containers": ["dev", "old"],
        "toolbox_nix": str(store),
    }
    environment = {"PATH": str(bin_), "LOG": str(log), "KNOWN": "old"}
    role: dict[str, object] = {
        "ansible.builtin.include_role": {"name": "toolbox", "apply": {"environment": environment}},
        "vars": {name: value for name, value in values.items() if name != "bootstrap_notes"},
    }
    notes: dict[str, object] = {"ansible.builtin.copy": {"content": "{{ bootstrap_notes | to_json }}", "dest": "{{ out }}"}}
    start: dict[str, object] = {"ansible.builtin.set_fact": {"bootstrap_notes": []}}
    done, out = run(folder, "workstation", [start, role, notes])
    assert done.code == 0, done.output
    return log.read_text().replace(str(store), "/nix"), json.loads(out.replace(str(store), "/nix"))


@pytest.mark.parametrize("others", [(), ("toolbox",)])
def test_a_container_gets_the_store_that_its_home_points_to(tmp_path: Path, others: tuple[str, ...]) -> None:
    called, notes = containers(tmp_path, "distrobox", *others, nix=True)
    assert called == f"distrobox create --yes --image {IMAGE} --name dev --volume /nix:/nix\n"
    assert notes == []


def test_nothing_is_mounted_where_there_is_no_nix(tmp_path: Path) -> None:
    called, notes = containers(tmp_path, "distrobox", nix=False)
    assert called == f"distrobox create --yes --image {IMAGE} --name dev\n"
    assert notes == []


def test_toolbox_is_for_machines_without_nix(tmp_path: Path) -> None:
    called, notes = containers(tmp_path, "toolbox", nix=False)
    assert called == f"toolbox create --assumeyes --image {IMAGE} dev\n"
    assert notes == []


def test_toolbox_makes_none_whose_home_would_point_to_nothing(tmp_path: Path) -> None:
    called, notes = containers(tmp_path, "toolbox", nix=True)
    assert called == ""
    assert notes == ["Containers were not made: distrobox is not here, and toolbox cannot share /nix"]


def test_distrobox_of_nixpkgs_mounts_it_by_itself(tmp_path: Path) -> None:
    called, _ = containers(tmp_path, "distrobox", nix=True, os="nixos")
    assert called == f"distrobox create --yes --image {IMAGE} --name dev\n"


def test_the_image_makes_one_in_the_same_way() -> None:
    assert "distrobox create" in (text := (REPO / "image/files/justfiles/aether.just").read_text())
    assert "--volume /nix:/nix" in text and "toolbox create" not in text
