"""Resource pools by the real provider: what is there is taken over, guests move between pools, nobody else's is touched."""

from collections.abc import Iterator

import pytest

from tests.system.checkout import Checkout
from tests.system.guests import api, task
from tests.system.small import deployed

INVENTORY = "inventory/homelab.toml"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """The small fleet; on its cluster a pool that somebody made, with a guest of theirs and `dns` in it."""
    for checkout in deployed(tmp_path_factory.mktemp("pools")):
        task(checkout, api(checkout).nodes("pve1").qemu.post(vmid=4711, name="theirs", memory=512, scsi0="local-zfs:4"))
        api(checkout).pools.post(poolid="prod", comment="Ask Ada")
        api(checkout).pools.put(poolid="prod", vms="4711,111")
        yield checkout


def pools(checkout: Checkout) -> dict[str, tuple[str, set[int]]]:
    """Comment and members of each pool of the cluster."""
    cluster = api(checkout)
    return {
        item["poolid"]: (
            item.get("comment", ""),
            {member["vmid"] for member in cluster.pools.get(poolid=item["poolid"])[0]["members"]},
        )
        for item in cluster.pools.get()
    }


def write(checkout: Checkout, vmid: int, line: str) -> None:
    text = (checkout.path / INVENTORY).read_text().splitlines()
    place = text.index(f"vmid = {vmid}")
    kept = [entry for entry in text[place + 1 : place + 2] if not entry.startswith("pool = ")]
    (checkout.path / INVENTORY).write_text("\n".join([*text[: place + 1], line, *kept, *text[place + 2 :]]) + "\n")


def test_without_the_word_a_guest_stays_in_whatever_pool_it_is(fleet: Checkout) -> None:
    settled = fleet.preview("--refresh=true")
    assert settled.code == 0 and set(settled.changes()) == {"unchanged"}, settled.text


def test_what_is_there_is_imported_and_the_rest_is_made(fleet: Checkout) -> None:
    write(fleet, 111, 'pool = "prod"')
    write(fleet, 110, 'pool = "edge/web"')
    refused = fleet.preview()
    assert refused.code != 0 and "the Proxmox token lacks Pool.Audit on /pool" in refused.text, refused.text
    assert "Fix: ./aether --stack sim proxmox role --update" in refused.text
    # As that gives the rights: the simulator grants what its inventory needs when it starts.
    assert fleet.sim("stop").code == 0
    preview = fleet.preview()
    assert preview.code == 0, preview.text
    # edge, edge/web, web in it, and their component; prod and dns in it.
    assert preview.changes().get("to import") == 2 and preview.changes().get("to create") == 4, preview.text
    up = fleet.up()
    assert up.code == 0, up.text
    assert pools(fleet) == {
        "prod": ("Ask Ada", {4711, 111}),
        "edge": ("Made by Aether", set()),
        "edge/web": ("Made by Aether", {110}),
    }
    settled = fleet.preview("--refresh=true")
    assert settled.code == 0 and set(settled.changes()) == {"unchanged"}, settled.text


def test_a_guest_moves_to_another_pool_and_nothing_happens_to_itself(fleet: Checkout) -> None:
    write(fleet, 110, 'pool = "prod"')
    preview = fleet.preview()
    changes = preview.changes()
    assert preview.code == 0 and changes.get("to replace") == 1 and changes.get("to delete") == 2, preview.text
    assert not [line for line in preview.text.splitlines() if "Legacy" in line and "web" in line and "replace" in line]
    up = fleet.up()
    assert up.code == 0, up.text
    assert pools(fleet) == {"prod": ("Ask Ada", {4711, 111, 110})}
    assert set(fleet.preview().changes()) == {"unchanged"}


def test_a_guest_that_is_replaced_is_in_its_pool_again(fleet: Checkout) -> None:
    write(fleet, 110, 'pool = "prod"\nreplace = true')
    up = fleet.ops("up", "--yes", "--replace", "web")
    assert up.code == 0, up.text
    assert pools(fleet)["prod"][1] == {4711, 111, 110}
    fleet.replace(INVENTORY, "replace = true\n", "")
    assert fleet.up().code == 0
    settled = fleet.preview("--refresh=true")
    assert settled.code == 0 and set(settled.changes()) == {"unchanged"}, settled.text


def test_a_guest_that_somebody_put_elsewhere_is_refused_and_stays(fleet: Checkout) -> None:
    api(fleet).pools.post(poolid="ops")
    api(fleet).pools.put(poolid="ops", vms="112")
    write(fleet, 112, 'pool = "prod"')
    refused = fleet.preview()
    assert refused.code != 0
    assert "its guest 112 is in pool ops, where somebody else put it" in refused.text, refused.text
    assert 'write pool = "ops"; or take it out: pvesh set /pools/ops --vms 112 --delete 1' in refused.text
    assert pools(fleet)["ops"][1] == {112}
    write(fleet, 112, 'pool = "ops"')
    assert fleet.preview().changes().get("to import") == 2


def test_without_the_lines_guests_leave_and_somebody_elses_pool_stays(fleet: Checkout) -> None:
    for vmid in (110, 111, 112):
        write(fleet, vmid, "")
    up = fleet.up()
    assert up.code == 0, up.text
    assert pools(fleet) == {"prod": ("Ask Ada", {4711}), "ops": ("", {112})}
