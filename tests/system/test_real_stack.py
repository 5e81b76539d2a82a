"""A stack that is not called simulated: previewed, agreed to, and nothing lost that nobody named. It points at the simulator."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.checkout import Checkout
from tests.system.small import small_checkout

PLAN = ".aether/plan.json"


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """An owner's checkout: a stack `real`, a backend and a passphrase in the environment, nothing deployed."""
    made = small_checkout(tmp_path_factory.mktemp("real"))
    made.stack = "real"
    state = made.path / ".aether/real-state"
    state.mkdir()
    made.environment = {
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_CONFIG_PASSPHRASE": "of the owner's",
        "SOPS_AGE_KEY_FILE": str(made.path / ".aether/sim/keys/age.txt"),
    }
    try:
        started = made.sim("start")
        assert started.code == 0, started.text
        settings = (made.path / ".aether/sim/Pulumi.sim.yaml").read_text()
        (made.path / "Pulumi.real.yaml").write_text(settings)
        init = made.run(str(made.path / ".aether/engine/bin/pulumi"), "stack", "init", "real", "--non-interactive")
        assert init.code == 0, init.text
        set_ = ("config", "set", "--stack", "real", "aether:protect", "false")
        assert made.run(str(made.path / ".aether/engine/bin/pulumi"), *set_).code == 0
        yield made
    finally:
        made.close()


def save_plan(owner: Checkout) -> str:
    preview = owner.preview("--save-plan", PLAN)
    assert preview.code == 0, preview.text[-4000:]
    return preview.text


def test_a_change_is_agreed_to_by_its_plan_and_a_loss_by_its_name(owner: Checkout) -> None:
    refused = owner.up()
    assert refused.code == 1
    assert "### web" in refused.text, "the preview is shown"
    assert "ARGS='--save-plan FILE'" in refused.text
    assert owner.guests() == {}
    save_plan(owner)
    up = owner.up("--yes", "--plan", PLAN)
    assert up.code == 0, up.text[-6000:]
    assert set(owner.guests()) == {"web", "dns", "log"}
    stale = owner.up("--yes", "--plan", PLAN)
    assert stale.code == 1
    assert "Nothing was changed" in stale.text
    assert "no longer:   create" in stale.text

    inventory = owner.path / "inventory/homelab.toml"
    whole = inventory.read_text()
    inventory.write_text(whole[: whole.index("[hosts.log]")])
    assert "log is destroyed" in save_plan(owner)
    unnamed = owner.up("--yes", "--plan", PLAN)
    assert unnamed.code == 1
    assert "ARGS='--delete log'" in unnamed.text
    assert set(owner.guests()) == {"web", "dns", "log"}
    named = owner.up("--yes", "--plan", PLAN, "--delete", "log")
    assert named.code == 0, named.text[-4000:]
    assert set(owner.guests()) == {"web", "dns"}


def test_the_end_of_the_stack_wants_its_name(owner: Checkout) -> None:
    refused = owner.ops("down", "--yes")
    assert refused.code == 1
    assert "--yes --delete real" in refused.text
    assert set(owner.guests()) == {"web", "dns"}
    down = owner.ops("down", "--yes", "--delete", "real")
    assert down.code == 0, down.text[-4000:]
    assert owner.guests() == {}
    assert Path(owner.path / ".aether/sim").exists()
