"""Images that a node has before the state knows of them: imported as they are by the real provider, never written over."""

from collections.abc import Iterator

import pytest

from tests.system.checkout import Checkout
from tests.system.small import deployed

# As after a lost state, or by a second operator whose state is another.
FORGET = """
from ops import guests
from ops.stack import Stack
guests._edit_state(Stack("sim"), lambda found: guests.forget(guests.forget(found, "nixos-vm"), "nixos-lxc"))
"""
FOLDERS = {"pve1": ("import", "template/cache"), "pve2": ("template/cache",)}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    yield from deployed(tmp_path_factory.mktemp("images"))


def files(checkout: Checkout) -> dict[str, str]:
    """Inode, change and size of each image, by node and name."""
    found: dict[str, str] = {}
    for node, folders in FOLDERS.items():
        for folder in folders:
            said = checkout.ssh(node, f"cd /var/lib/vz/{folder} && stat -c '%n %i %Z %s' nixos-*").text
            found |= {f"{node} {line.split()[0]}": line.split(maxsplit=1)[1] for line in said.splitlines()}
    assert len(found) == 3, found
    return found


def test_they_are_imported_and_not_uploaded_again(fleet: Checkout) -> None:
    before = files(fleet)
    assert fleet.run(fleet.python, "-c", FORGET).code == 0
    preview = fleet.preview()
    assert preview.code == 0, preview.text
    assert preview.changes().get("to import") == 3 and "to replace" not in preview.changes(), preview.text
    assert "has local:import/nixos-vm-" in preview.text and "taken over, not uploaded" in preview.text, preview.text
    up = fleet.up()
    assert up.code == 0, up.text
    assert files(fleet) == before, "the same files, not written"
    # The state learns how they would be brought.
    up = fleet.up()
    assert up.code == 0 and up.changes().get("updated") == 3, up.text
    assert files(fleet) == before
    assert set(fleet.preview().changes()) == {"unchanged"}
    settled = fleet.preview("--refresh=true")
    assert set(settled.changes()) == {"unchanged"}, settled.text


def test_one_that_holds_something_else_is_refused_and_stays(fleet: Checkout) -> None:
    assert fleet.run(fleet.python, "-c", FORGET).code == 0
    name = next(name for name in files(fleet) if name.startswith("pve1 nixos-vm-")).split()[1]
    kept = f"/var/lib/vz/import/{name}"
    assert fleet.ssh("pve1", f"cp {kept} /root/kept && printf broken > {kept}").code == 0
    broken = files(fleet)
    for act in (fleet.preview, fleet.up):
        refused = act()
        assert refused.code != 0
        assert f"pve1: local:import/{name} is there already, with 6 bytes, and is not this image" in refused.text, refused.text
        assert f"Fix: look at it, then on pve1: pvesm free local:import/{name}" in refused.text
    assert files(fleet) == broken
    # As it says, where the file is wrong; the others are taken over.
    assert fleet.ssh("pve1", f"rm {kept}").code == 0
    preview = fleet.preview()
    assert preview.changes().get("to import") == 2, preview.text
    up = fleet.up()
    assert up.code == 0, up.text
    assert fleet.ssh("pve1", f"cmp {kept} /root/kept").code == 0, "uploaded"


def test_a_new_version_takes_the_place_of_an_imported_one(fleet: Checkout) -> None:
    before = files(fleet)
    shared = fleet.path / "nix/images/common.nix"
    shared.write_text(f"{shared.read_text()}# another version\n")
    up = fleet.up()
    assert up.code == 0, up.text
    after = files(fleet)
    assert not before.keys() & after.keys(), "the new ones are there, the old ones gone"
    assert set(fleet.preview().changes()) == {"unchanged"}
