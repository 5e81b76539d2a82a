"""A host that its builder cannot build is refused at preview, with the line to write."""

import json
import shlex
from pathlib import Path

import pytest

from inventory.building import Builder
from inventory.load import Inventory, load
from inventory.models import NixosHost
from stacks.errors import SettingsError
from stacks.platforms import builders_systems, foreign, operator_systems, unbuildable
from stacks.settings import Settings
from stacks.systems import desired_systems

X86 = frozenset({"x86_64-linux"})


def cloud(**build_on: str) -> dict[str, NixosHost]:
    hosts = load(Path("inventory/cloud.toml")).hosts
    names = ("vps", "cloud-workstation")
    facts = {name: hosts[name].model_copy(update={"build_on": build_on.get(name.replace("-", "_"), "target")}) for name in names}
    return {name: each for name, each in facts.items() if isinstance(each, NixosHost)}


def nix(folder: Path, **settings: object) -> str:
    """A Nix that says of itself what SETTINGS are."""
    shown = json.dumps({name.replace("_", "-"): {"value": value} for name, value in settings.items()})
    program = folder / "nix"
    program.write_text(f"#!/bin/sh\necho {shlex.quote(shown)}\n")
    program.chmod(0o755)
    return str(program)


def test_the_architecture_is_the_instance_types() -> None:
    facts = cloud()["vps"]
    for size, system in {"t4g.small": "aarch64-linux", "c7gn.large": "aarch64-linux", "g5.xlarge": "x86_64-linux"}.items():
        assert facts.model_copy(update={"instance_type": size}).system == system, size


def test_the_examples_can_be_built_by_an_x86_operator() -> None:
    for file in ("homelab", "cloud"):
        hosts = load(Path(f"inventory/{file}.toml")).hosts
        assert unbuildable({name: host for name, host in hosts.items() if isinstance(host, NixosHost)}, X86) == []


def test_what_the_operator_cannot_build_is_refused_with_the_line_to_write() -> None:
    assert unbuildable(cloud(vps="operator"), X86) == [
        "hosts.vps.build_on: vps is aarch64-linux, and the operator's Nix builds for x86_64-linux. "
        'Fix: write build_on = "target" (or a builder: cloud-workstation)'
    ]
    assert unbuildable(cloud(vps="operator"), X86 | {"aarch64-linux"}) == []
    assert unbuildable(cloud(vps="operator"), None) == []


def test_a_builder_of_another_architecture_is_refused() -> None:
    hosts = cloud(vps="cloud-workstation")
    assert unbuildable(hosts, X86) == []
    hosts["cloud-workstation"] = hosts["cloud-workstation"].model_copy(update={"instance_type": "t3.large"})
    (problem,) = unbuildable(hosts, X86)
    assert "vps is aarch64-linux, and cloud-workstation is x86_64-linux" in problem


def test_emulation_and_builders_count(tmp_path: Path) -> None:
    shown = {"system": "x86_64-linux", "extra_platforms": ["i686-linux"], "builders": f"@{tmp_path}/machines"}
    assert set(operator_systems(nix(tmp_path, **shown)) or ()) == {"x86_64-linux", "i686-linux"}
    (tmp_path / "machines").write_text("# ours\nssh://arm aarch64-linux,armv7l-linux /key 4\nssh://other\n")
    here = operator_systems(nix(tmp_path, **shown))
    assert set(here or ()) == {"x86_64-linux", "i686-linux", "aarch64-linux", "armv7l-linux"}
    assert operator_systems(str(tmp_path / "none")) is None


def test_nix_is_asked_only_where_it_may_not_be_able(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("sys.platform", "linux")
    assert not foreign(cloud()), "each builds itself"
    assert foreign(cloud(vps="operator"))
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert not foreign(cloud(vps="operator"))
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    monkeypatch.setattr("sys.platform", "darwin")
    assert foreign(cloud(vps="operator"))


def test_a_preview_refuses_it(tmp_path: Path) -> None:
    program = nix(tmp_path, system="x86_64-linux", extra_platforms=[], builders="")
    settings = Settings(
        stack="unit", composition="cloud", inventory=Path("inventory/cloud.toml"), evaluator="source", nix=program
    )
    with pytest.raises(SettingsError, match=r"hosts\.vps\.build_on: .* write build_on = \"target\""):
        desired_systems(settings, load("inventory/cloud.toml"), cloud(vps="operator"))


def test_what_a_builder_builds_is_not_refused() -> None:
    cloud_file = load("inventory/cloud.toml")
    builders = {"cloud-workstation": Builder(), "public-gateway": Builder(systems=("x86_64-linux",))}
    content = cloud_file.content.model_copy(update={"builders": builders})
    assert builders_systems(Inventory(cloud_file.path, content)) == X86 | {"aarch64-linux"}
    assert builders_systems(cloud_file) == frozenset()


@pytest.mark.parametrize("count", [2, 40])
def test_a_preview_names_few_of_many_files(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Pulumi writes a warning again at every turn of its display."""
    said: list[str] = []
    files = [f"nix/hosts/oracle/vm-{number}.nix" for number in range(count)]
    monkeypatch.setattr("stacks.systems.untracked", lambda _: files)
    monkeypatch.setattr("pulumi.log.warn", said.append)
    settings = Settings(stack="unit", composition="cloud", inventory=Path("inventory/cloud.toml"), evaluator="source")
    desired_systems(settings, load("inventory/cloud.toml"), cloud())
    (line,) = said
    assert line.startswith("git does not track nix/hosts/oracle/vm-0.nix, nix/hosts/oracle/vm-1.nix") and len(line) < 300
    end = "Fix: git add nix/hosts/oracle/vm-0.nix nix/hosts/oracle/vm-1.nix" if count == 2 else "and 34 more, so the flake"
    assert end in line and (count == 2 or line.endswith("Fix: git add nix"))
