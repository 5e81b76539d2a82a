"""Desired closures: one evaluation for all hosts that need one, and none for those that do not."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from components.nixos.desired import Desired, EvaluationError, desired_closures, untracked

NIX = """#!/usr/bin/env python3
import json, pathlib, re, sys
if "path-info" in sys.argv:
    sys.exit((pathlib.Path(__file__).parent / "collected").exists())
with open({log!r}, "a") as log:
    log.write(sys.argv[-1] + "\\n")
if {fail}:
    sys.exit("error: attribute 'services' missing")
hosts = re.findall(r'"([a-z0-9]+)" = host all', sys.argv[-1])
boots = {{"kernel": "/nix/store/aaa-linux"}}
system = {{"kernel": "6.18", "packages": {{"htop": "3.5"}}}}
print(json.dumps({{host: {{"drv": f"/nix/store/{{host}}.drv", "boots": boots, "system": system}} for host in hosts}}))
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    hosts = [f"h{number}" for number in range(15)]
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory/lab.toml").write_text("".join(f'[hosts.{host}]\nkind = "nixos-vm"\nnode = "n"\n' for host in hosts))
    (tmp_path / "nix/hosts/n").mkdir(parents=True)
    for host in hosts:
        (tmp_path / f"nix/hosts/n/{host}.nix").write_text("{ }")
    for common in ("flake.nix", "flake.lock", "nix/default.nix"):
        (tmp_path / common).write_text("{ }")
    write_nix(tmp_path)
    return tmp_path


def write_nix(repository: Path, fail: bool = False) -> None:
    nix = repository / "nix-command"
    nix.write_text(NIX.format(log=str(repository / "log"), fail=fail))
    nix.chmod(0o755)


@pytest.fixture(autouse=True)
def plenty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory for all hosts at once and one core, whatever this machine has."""
    monkeypatch.setattr("components.nixos.desired.batch_size", lambda: 16)
    monkeypatch.setattr("components.nixos.desired.os.cpu_count", lambda: 1)


def desired(repository: Path, evaluator: str = "nix") -> dict[str, Desired]:
    attributes = {f"h{number}": f"h{number}" for number in range(15)}
    return desired_closures(
        repository,
        [Path("inventory/lab.toml")],
        attributes,
        evaluator=evaluator,  # type: ignore[arg-type]
        nix=str(repository / "nix-command"),
    )


def evaluations(repository: Path) -> list[int]:
    """Hosts asked for in each evaluation so far."""
    log = repository / "log"
    lines = log.read_text().splitlines() if log.exists() else []
    return [line.count("= host all.") for line in lines if "= host all." in line]


def test_all_hosts_are_evaluated_in_one_call_and_then_remembered(repository: Path) -> None:
    wanted = Desired("/nix/store/h3.drv", '{"kernel": "/nix/store/aaa-linux"}', "kernel: 6.18\npackages: htop: 3.5\n")
    assert desired(repository)["h3"] == wanted
    assert desired(repository)["h3"] == wanted
    assert evaluations(repository) == [15]


def test_touching_one_of_fifteen_hosts_evaluates_one(repository: Path) -> None:
    desired(repository)
    path = repository / "nix/hosts/n/h7.nix"
    path.write_text("{ a = 1; }")
    os.utime(path, ns=(1, 1))
    desired(repository)
    assert evaluations(repository) == [15, 1]


def test_without_nix_the_sources_stand_for_the_closure(repository: Path) -> None:
    found = desired(repository, "source")
    assert all(value.closure.startswith("source:") and not value.boots for value in found.values())
    assert "sources: nix/hosts/n/h3.nix: " in found["h3"].system and "h4.nix" not in found["h3"].system
    assert len(set(found.values())) == 15
    assert evaluations(repository) == []


def test_nix_errors_are_shown_as_they_are(repository: Path) -> None:
    write_nix(repository, fail=True)
    with pytest.raises(EvaluationError, match="attribute 'services' missing"):
        desired(repository)
    assert not (repository / ".aether/cache/evaluations.json").exists()


def test_a_damaged_cache_is_made_again(repository: Path) -> None:
    desired(repository)
    (repository / ".aether/cache/evaluations.json").write_text('{"half')
    assert desired(repository)["h1"].closure == "/nix/store/h1.drv"
    assert json.loads((repository / ".aether/cache/evaluations.json").read_text())


def test_a_cache_of_before_knows_less_and_is_filled_again(repository: Path) -> None:
    desired(repository)
    file = repository / ".aether/cache/evaluations.json"
    file.write_text(json.dumps({digest: entry[:2] for digest, entry in json.loads(file.read_text()).items()}))
    assert desired(repository)["h1"].system
    assert evaluations(repository) == [15, 15]


def test_hosts_are_evaluated_so_many_at_a_time_as_there_is_memory_for(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.nixos.desired.batch_size", lambda: 4)
    assert len(desired(repository)) == 15
    assert evaluations(repository) == [4, 4, 4, 3]


@pytest.mark.parametrize(("memory", "asked"), [(16, [8, 7]), (4, [2] * 7 + [1]), (1, [1] * 15)])
def test_cores_evaluate_side_by_side_and_share_the_memory(
    repository: Path, monkeypatch: pytest.MonkeyPatch, memory: int, asked: list[int]
) -> None:
    monkeypatch.setattr("components.nixos.desired.batch_size", lambda: memory)
    monkeypatch.setattr("components.nixos.desired.os.cpu_count", lambda: 2)
    assert len(desired(repository)) == 15
    assert sorted(evaluations(repository), reverse=True) == asked


def test_each_host_that_fails_is_named(repository: Path) -> None:
    write_nix(repository, fail=True)
    with pytest.raises(EvaluationError, match=r"nix could not evaluate h0:\n(?s:.*)nix could not evaluate h14:"):
        desired(repository)


def test_a_derivation_that_was_collected_is_evaluated_again(repository: Path) -> None:
    desired(repository)
    (repository / "collected").touch()
    desired(repository)
    assert evaluations(repository) == [15, 15]


def test_files_that_git_does_not_track_are_named(tmp_path: Path) -> None:
    assert untracked(tmp_path) == []
    (tmp_path / "nix/hosts").mkdir(parents=True)
    for name in ("known", "new"):
        (tmp_path / f"nix/hosts/{name}.nix").touch()
    for command in (["init", "-q"], ["add", "nix/hosts/known.nix"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    assert untracked(tmp_path) == ["nix/hosts/new.nix"]
