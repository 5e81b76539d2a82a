"""A fleet that an earlier release made is taken on: a preview of its state replaces and destroys nothing.

The checkout's hosts are not there; a preview compares with the state alone. tests/system/kept_state.py says how a state is kept.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inventory.files import REPOSITORY
from ops import plan
from tests.system.checkout import Checkout
from tests.system.kept_state import FOLDER, restored

KEPT = sorted(FOLDER.glob("*.json.gz"))


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    if not (REPOSITORY / ".aether/engine/bin/pulumi").exists():
        pytest.skip("the engine is not there; make it with: ./aether engine ensure")
    made = Checkout.make(tmp_path_factory.mktemp("kept") / "fleet")
    started = made.sim("start", "--stack", "sim")
    assert started.code == 0, started.text
    yield made
    made.close()


def test_a_state_is_kept() -> None:
    assert KEPT
    assert all(path.stat().st_size < 200_000 for path in KEPT), "it is kept for years"


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.name.split(".json")[0])
def test_a_fleet_of_an_earlier_release_loses_nothing(fleet: Checkout, path: Path) -> None:
    made = fleet.run(fleet.python, "-c", "from ops.stack import Stack; Stack('sim').ensure()")
    assert made.code == 0, made.text
    state = restored(path, fleet.path)
    shown = preview(fleet, state)
    assert lost(shown) == []
    # A later release may make more; what the state has is not made a second time under another URN.
    there = {(plan.kind(each), plan.name(each)) for each in json.loads(state)["deployment"]["resources"]}
    assert [
        step["urn"] for step in shown["steps"] if step["op"] == "create" and (plan.kind(step), plan.name(step)) in there
    ] == []
    assert sum(shown["changeSummary"].values()) > 100, shown["changeSummary"]
    # And a change that only a new container can have is seen: this state's is on another node.
    resources = json.loads(state)["deployment"]["resources"]
    (container,) = (each for each in resources if each["urn"].endswith("ContainerLegacy::adguard"))
    node = container["inputs"]["nodeName"]
    moved = json.loads(state)
    for each in moved["deployment"]["resources"]:
        if each["urn"] == container["urn"]:
            each["inputs"]["nodeName"] = each["outputs"]["nodeName"] = "niobe" if node != "niobe" else "oracle"
    assert any("ContainerLegacy::adguard" in line for line in lost(preview(fleet, json.dumps(moved))))


def preview(fleet: Checkout, state: str) -> dict[str, Any]:
    """What `up` would do to STATE, which becomes the stack's."""
    code = (
        "import subprocess, sys; from ops.review import _json; from ops.stack import REPOSITORY, Stack; stack = Stack('sim'); "
        "subprocess.run(stack.command('stack', 'import', '--force'), env=stack.environment(), cwd=REPOSITORY, check=True, "
        "stdout=sys.stderr); print(_json(stack.output('preview', '--json', '--show-replacement-steps')))"
    )
    done = subprocess.run(
        [fleet.python, "-c", code], cwd=fleet.path, env=fleet.env(), input=state, text=True, capture_output=True, check=False,
        timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    shown: dict[str, Any] = json.loads(done.stdout)
    return shown


# What a guest is born from, or given at its birth, and does not use afterwards: a new one takes its place.
OF_BIRTH = "proxmoxve:index/fileLegacy:FileLegacy"


def lost(shown: dict[str, Any]) -> list[str]:
    """Steps that replace or destroy what is more than an image."""
    harmless = ("same", "update", "create", "read")
    steps = [step for step in shown["steps"] if step["op"] not in harmless and plan.kind(step) != OF_BIRTH]
    return [f"{step['op']} {step['urn']}: {step.get('replaceReasons')}" for step in steps]
