"""Machines that stay on Ansible, in the same graph: a changed playbook or variable runs again exactly where it matters.

Beside the small fleet, by a role of one task: the roles of the homelab are tried by tests/ansible.
"""

import re
from collections.abc import Iterator

import pytest

from bench.fleet import public_key
from tests.system.checkout import Checkout
from tests.system.machines import MACHINE, PLAY, ROLE, WELCOME, ran
from tests.system.small import grown, small_checkout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """The small fleet, and machines `storage` and `files`; deployed."""
    machines = [MACHINE.format(name=name, last=last, key=public_key(name)) for name, last in (("storage", 50), ("files", 51))]
    added = {"ansible/machine.yml": PLAY, ROLE: WELCOME}
    yield from grown(small_checkout(tmp_path_factory.mktemp("machines") / "a folder", "\n".join(machines), added))


@pytest.fixture
def fleet(made: Checkout) -> Iterator[Checkout]:
    """The same, with faults off afterwards."""
    yield made
    made.clear_faults()


def touch(checkout: Checkout, more: str) -> None:
    """The role of both machines, and MORE."""
    (checkout.path / ROLE).write_text(f"{WELCOME}{more}\n")


def test_a_changed_role_runs_on_its_hosts_alone(fleet: Checkout) -> None:
    touch(fleet, "# touched")
    up = fleet.up()
    assert up.code == 0, up.text
    assert ran(up.text) == {"storage", "files"}
    # They are as they should be already: a second run changes nothing.
    recaps = re.findall(
        r"(?:storage|files): (ok=\d+ changed=0 unreachable=0 failed=0 skipped=0 rescued=0 ignored=0)$", up.text, re.M
    )
    assert len(recaps) == 2, up.text
    playbooks = [item for item in fleet.resources() if item["type"] == "aether:ansible:Playbook"]
    assert {item["outputs"]["recap"] for item in playbooks if item["urn"].endswith(("::storage", "::files"))} == {*recaps}


@pytest.mark.fault
def test_a_playbook_that_fails_half_way_heals(fleet: Checkout) -> None:
    touch(fleet, "- name: Fail on purpose\n  ansible.builtin.fail:\n    msg: half-way")
    up = fleet.up()
    assert up.code != 0
    assert "storage: machine.yml failed half-way" in up.text, up.text
    assert "half-way" in up.text
    touch(fleet, "# mended")
    healed = fleet.up()
    assert healed.code == 0, healed.text
    assert ran(healed.text) == {"storage", "files"}


@pytest.mark.fault
def test_an_unreachable_machine_is_named_and_the_others_go_on(fleet: Checkout) -> None:
    touch(fleet, "# touched again")
    fleet.fault("files", "unreachable")
    up = fleet.up()
    fleet.clear_faults()
    assert up.code != 0
    assert "files: files does not answer on SSH at 127." in up.text, up.text
    assert re.search(r"storage: ok=\d+", up.text), up.text
    assert fleet.up().code == 0


def test_a_check_at_preview_finds_what_was_changed_by_hand_and_nothing_else(fleet: Checkout) -> None:
    ask = ("--config", "aether:ansibleCheck=true")
    assert fleet.ssh("files", "echo '# by hand' >> /etc/motd").code == 0
    preview = fleet.preview(*ask)
    assert re.findall(r"(\S+): (\S+) would change", preview.text) == [("files", "machine.yml")], preview.text
    up = fleet.up(*ask)
    assert up.code == 0, up.text
    assert fleet.ssh("files", "cat /etc/motd").text == "files of small\n"
    assert "would change" not in fleet.preview(*ask).text


def test_what_was_destroyed_is_made_again_and_machines_are_as_they_were(fleet: Checkout) -> None:
    """Last of this module. A machine is none of Pulumi's to destroy."""
    down = fleet.ops("down")
    assert down.code == 0, down.text
    assert fleet.resources() == []
    again = fleet.up()
    assert again.code == 0, again.text
    assert set(fleet.guests()) == {"web", "dns", "log"}
    assert len(re.findall(r"(?:storage|files): ok=\d+ changed=0", again.text)) == 2, again.text
    assert set(fleet.preview().changes()) == {"unchanged"}
