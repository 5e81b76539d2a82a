"""The benchmarks' own arithmetic: what is wrong there makes every number wrong."""

import ast
import functools
import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi_command
import pulumi_proxmoxve
import pytest

from bench import path, resources, tofu
from bench.bare import renamed
from bench.fleet import Fleet
from bench.measure import BenchError, Report, Timed, interleaved, timed
from bench.stack import changes, expect_unchanged
from inventory.files import REPOSITORY
from inventory.load import load
from ops.stack import Stack

VM = "urn:pulumi:sim::aether::aether:proxmox:NixosVm$proxmoxve:index/vmLegacy:VmLegacy::web"
CONTACT = "urn:pulumi:sim::aether::aether:proxmox:NixosVm$command:local:Command::web"
SYSTEM = "urn:pulumi:sim::aether::aether:nixos:NixosSystem$command:local:Command::web"
ROOT = "urn:pulumi:sim::aether::pulumi:pulumi:Stack::aether-sim"
PROVIDER = "urn:pulumi:sim::aether::pulumi:providers:command::default_1_2_1"
STATE: list[dict[str, Any]] = [
    {"urn": ROOT, "type": "pulumi:pulumi:Stack", "custom": False, "outputs": {"x": 1}},
    {"urn": PROVIDER, "type": "pulumi:providers:command", "custom": True, "inputs": {}},
    {"urn": "urn:pulumi:sim::aether::aether:nixos:NixosSystem::web", "type": "aether:nixos:NixosSystem", "custom": False},
    {
        "urn": VM,
        "type": "proxmoxve:index/vmLegacy:VmLegacy",
        "custom": True,
        "provider": f"{PROVIDER}::1",
        "inputs": {
            "__defaults": ["acpi"],
            "acpi": True,
            "vmId": 7,
            "disks": [{"__defaults": ["aio"], "aio": "x", "size": 8}],
            "password": {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "plaintext": '"pw"'},
        },
        "ignoreChanges": ["disks[0].speed"],
    },
    {
        "urn": SYSTEM,
        "type": "command:local:Command",
        "custom": True,
        "provider": f"{PROVIDER}::1",
        "parent": "urn:pulumi:sim::aether::aether:nixos:NixosSystem::web",
        "dependencies": [VM, "urn:pulumi:sim::aether::aether:nixos:NixosSystem::web"],
        "inputs": {"create": "echo ${x}"},
    },
]


def test_declared_resources_hold_what_the_program_said() -> None:
    vm, system = resources.declared(STATE)
    assert vm.inputs == {"vmId": 7, "disks": [{"size": 8}], "password": "pw"}
    assert vm.secrets == {"password"}
    assert vm.ignored == ("disks[0].speed",)
    assert system.after[0] == VM
    assert vm.label != system.label


def test_resources_of_one_name_have_labels_of_their_own() -> None:
    labels = {resources.Declared(urn, "t", "web", {}, frozenset(), (), (), "").label for urn in (VM, CONTACT, SYSTEM)}
    assert len(labels) == 3


def test_the_bare_state_has_every_resource_and_no_component() -> None:
    declared = resources.declared(STATE)
    moved = renamed([dict(item) for item in STATE], declared)
    assert [item["type"] for item in moved] == [item["type"] for item in STATE if not item["type"].startswith("aether:")]
    system = moved[-1]
    assert system["urn"].startswith("urn:pulumi:bare::aether-bare::command:local:Command::")
    assert system["dependencies"] == [moved[2]["urn"]]
    assert system["parent"] == moved[0]["urn"]
    assert "sim::aether::" not in json.dumps(moved)


def test_opentofu_gets_whole_objects_and_literal_text() -> None:
    body = {"network_device": [{"bridge": "vmbr0"}]}
    schema = {
        "vm": {"block": {"attributes": {"network_device": {"type": ["list", ["object", {"bridge": "string", "mtu": "number"}]]}}}}
    }
    tofu.complete({"vm": {"web": body}}, schema)
    assert body == {"network_device": [{"bridge": "vmbr0", "mtu": None}]}
    assert tofu.escaped({"a": ["${x}", "%{if}"]}) == {"a": ["$${x}", "%%{if}"]}


def declared_classes() -> Iterator[Any]:
    """Every resource of Proxmox and every command that a component of the homelab declares, as its SDK's class."""
    packages = {"proxmox": pulumi_proxmoxve, "command": pulumi_command}
    for file in sorted((REPOSITORY / "components").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            words = ast.unparse(node.func).split(".") if isinstance(node, ast.Call) else []
            if len(words) > 1 and words[0] in packages and not words[-1].endswith(("Args", "Provider")):
                found = functools.reduce(getattr, words[1:], packages[words[0]])
                if hasattr(found, "pulumi_type"):
                    yield found


def test_both_rivals_can_declare_whatever_the_components_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jellyfin's GPU, a mapping, had stopped the benchmark: it was in no table."""
    (tmp_path / "resources.json").write_text('{"providers": {}, "resources": []}')
    monkeypatch.chdir(tmp_path)
    class_of = runpy.run_path(str(REPOSITORY / "bench/programs/bare.py"))["class_of"]
    classes = {found.pulumi_type: found for found in declared_classes()}
    assert {token: class_of(token) for token in classes} == classes
    types = {token: tofu.resource_type(token) for token in classes}
    assert types["proxmoxve:index/vmLegacy:VmLegacy"] == "proxmox_virtual_environment_vm"
    assert types["proxmoxve:hardware/mapping/pci:Pci"] == "proxmox_hardware_mapping_pci"
    assert types["proxmoxve:sdn/zone/vlan:Vlan"] == "proxmox_sdn_zone_vlan"
    assert types["command:local:Command"] == "terraform_data"
    assert len(set(types.values())) == len(types)


def test_the_longest_path_is_that_of_the_work_not_of_the_steps() -> None:
    before: dict[str, set[str]] = {"a": set(), "b": {"a"}, "c": {"b"}, "long": set(), "end": {"c", "long"}}
    length, chain = path.longest_path({"a": 1, "b": 1, "c": 1, "long": 5, "end": 2}, before)
    assert (length, chain) == (7, ["long", "end"])


def test_steps_are_timed_by_their_own_events_and_components_are_no_work() -> None:
    def event(kind: str, urn: str, token: str) -> dict[str, Any]:
        return {kind: {"metadata": {"urn": urn, "type": token, "op": "create"}}}

    events: list[tuple[float, dict[str, Any]]] = [
        (1.0, event("resourcePreEvent", "x", "command:local:Command")),
        (1.5, event("resourcePreEvent", "component", "aether:nixos:NixosSystem")),
        (3.0, event("resOutputsEvent", "x", "command:local:Command")),
        (3.5, {"summaryEvent": {}}),
    ]
    assert path.step_seconds(events) == {"x": 2.0}
    assert path.first_and_last_step(events) == (1.0, 3.0)


@pytest.mark.parametrize("text", ["Resources:\n    ~ 1 to update\n    65 unchanged", "no summary", "Resources:\n    3 unchanged"])
def test_a_preview_that_is_not_empty_or_knows_too_little_fails(text: str) -> None:
    with pytest.raises(BenchError):
        expect_unchanged(Timed(1.0, text), 10)


def test_closing_counts_are_read() -> None:
    assert changes("Resources:\n    ~ 1 updated\n    27 unchanged\n\nDuration: 3s") == {"updated": 1, "unchanged": 27}


def test_sides_take_turns_and_the_median_counts() -> None:
    order: list[str] = []
    values = {"a": iter([1.0, 9.0, 2.0]), "b": iter([4.0, 4.0, 5.0])}

    def side(name: str) -> float:
        order.append(name)
        return next(values[name])

    medians = interleaved(3, {"a": lambda: side("a"), "b": lambda: side("b")})
    assert {name: median.seconds for name, median in medians.items()} == {"a": 2.0, "b": 4.0}
    assert order == ["a", "b", "b", "a", "a", "b"]


def test_a_side_that_fails_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no such luck"):
        timed(["sh", "-c", "echo no such luck; exit 3"], cwd=tmp_path, env={})


def test_missed_targets_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    report.ratio("slow", 1.4, "", at_most=1.3)
    report.ratio("fast", 5.5, "", at_least=5)
    assert report.missed == ["slow"]
    assert report.numbers == {"slow": 1.4, "fast": 5.5}
    assert "MISSED" in capsys.readouterr().out


def test_the_chart_has_a_bar_a_rival_with_its_target() -> None:
    report = Report()
    report.ratio("whole_vs_usual", 4, "usual / Aether", at_least=2, rival=4)
    report.ratio("preview_vs_tofu", 2, "Aether / OpenTofu", rival=0.5)
    report.ratio("up_vs_path", 1.1, "no rival")
    assert [line.split(maxsplit=2) for line in report.chart(8)] == [
        ["whole_vs_usual", "4.00", "==|=>==="],
        ["preview_vs_tofu", "0.50", "= |"],
    ]


def test_a_fleet_is_a_valid_inventory(tmp_path: Path) -> None:
    fleet = Fleet(230)
    file = tmp_path / "fleet.toml"
    file.write_text(fleet.inventory())
    inventory = load(file)
    assert list(inventory.guests()) == fleet.names
    assert all(inventory.hosts[name].depends_on == (fleet.names[0],) for name in fleet.names[1:])


def test_the_engine_keeps_the_programs_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert Stack("homelab").environment()["PYTHONDONTWRITEBYTECODE"] == ""
