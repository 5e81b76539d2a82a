"""A machine that is away, by the commands: `up` leaves it an order, its own timer takes that, and `status` tells of both."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.fleet import public_key
from tests.system.checkout import Checkout, wait_until
from tests.system.small import grown, small_checkout

ROAMING = f"""\
[hosts.road]
kind = "nixos-metal"
address = "192.168.10.20"
roams = true
settle = 2
health = [{{ unit = "web.service" }}, {{ tcp = 8080 }}]
host_key = "{public_key("road")}"
"""
SOURCE = "nix/hosts/road.nix"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A cache's folder, and the address that serves it."""
    work = tmp_path_factory.mktemp("cache")
    (work / "cache").mkdir()
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(work / "cache")]
    with (work / "log").open("wb") as said:
        server = subprocess.Popen(command, stdout=said, stderr=said)
    wait_until("it serves", lambda: " port " in (work / "log").read_text())
    yield work / "cache", f"http://127.0.0.1:{(work / 'log').read_text().split(' port ')[1].split()[0]}"
    server.kill()
    server.wait()


@pytest.fixture(scope="module")
def fleet(folder: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    cache = f'[cache]\npush = "file://{folder[0]}"\npull = "{folder[1]}"\n'
    yield from grown(small_checkout(tmp_path_factory.mktemp("orders"), ROAMING + cache, {SOURCE: "{ ... }:\n{ }\n"}))


def plug(checkout: Checkout, state: str) -> None:
    done = checkout.sim("power", "road", state)
    assert done.code == 0, done.text
    if state == "on":
        wait_until("it answers", lambda: checkout.ssh("road", "true").code == 0, 60)


def told(checkout: Checkout) -> dict[str, Any]:
    """What `status --json` says of the machine."""
    answer = json.loads(checkout.ops("status", "--json").text)
    return {**next(host for host in answer["hosts"] if host["host"] == "road"), "problems": answer["problems"].get("road", [])}


def row(checkout: Checkout) -> str:
    return next(line for line in checkout.ops("status").text.splitlines() if line.startswith("road "))


def test_it_gets_its_change_when_it_comes_back(fleet: Checkout, folder: tuple[Path, str]) -> None:
    before = fleet.system("road")
    plug(fleet, "off")
    fleet.touch("road", "one")
    review = fleet.ops("review")
    assert "may be away: then it is left an order, and takes the change alone" in review.text, review.text
    preview = fleet.preview()
    assert "road is away: its changes are left at the cache for it to take" in preview.text, preview.text
    up = fleet.up()
    assert up.code == 0, up.text
    assert "road: is left an order for /nix/store/" in up.text, up.text
    assert told(fleet)["state"] == "pending" and told(fleet)["pending"]
    assert "pending, order left just now" in row(fleet), row(fleet)
    metrics = fleet.ops("metrics").text
    assert 'aether_machine_pending_timestamp_seconds{stack="sim",machine="road"}' in metrics
    again = fleet.up()
    assert again.code == 0 and "road: its order lies at the cache already" in again.text, again.text
    plug(fleet, "on")
    wait_until("it takes its order", lambda: told(fleet)["ordered"] is not None, 60)
    after = fleet.system("road")
    now = told(fleet)
    assert after != before and f"is left an order for {after}" in up.text
    assert (now["state"], now["pending"], now["behind"], now["drift"], now["problems"]) == ("running", None, False, "", [])
    assert "+order" in now["deployed_by"]
    home = fleet.up()
    assert home.code == 0, home.text
    assert f"road: has taken {after} by an order already" in home.text and "road: builds" not in home.text, home.text
    assert "road: is here, and its order is taken back" in home.text, home.text
    assert fleet.system("road") == after and fleet.ops("drift").code == 0
    assert set(fleet.preview().changes()) == {"unchanged"}
    # What was taken back is not pending where it goes away again.
    plug(fleet, "off")
    assert (told(fleet)["state"], told(fleet)["pending"]) == ("away", None)
    plug(fleet, "on")


def test_a_bad_system_goes_back_and_status_says_so_until_it_is_mended(fleet: Checkout) -> None:
    before = fleet.system("road")
    # Away from the operator, and not from the cache.
    fleet.fault("road", "unreachable")
    fleet.fault("road", "health")
    fleet.touch("road", "bad")
    up = fleet.up()
    assert up.code == 0 and "road: is left an order" in up.text, up.text
    fleet.sim("fault", "road", "unreachable", "--off")
    wait_until("it tried its order", lambda: bool(told(fleet)["order"]), 90)
    now = told(fleet)
    assert now["order"].startswith("took the system of its order back, just now: ") and now["order"] in now["problems"], now
    assert now["pending"] is None and fleet.system("road") == before
    fleet.clear_faults()
    mended = fleet.up()
    assert mended.code == 0, mended.text
    assert fleet.system("road") != before and told(fleet)["problems"] == []


def test_what_is_not_wanted_any_more_is_not_taken(fleet: Checkout) -> None:
    """Left, and then the repository went back: the machine ends with what the repository has."""
    before, text = fleet.system("road"), (fleet.path / SOURCE).read_text()
    plug(fleet, "off")
    fleet.touch("road", "unwanted")
    assert "road: is left an order" in fleet.up().text
    (fleet.path / SOURCE).write_text(text)
    up = fleet.up()
    assert up.code == 0 and f"road: is left an order for {before}" in up.text, up.text
    plug(fleet, "on")
    wait_until("it looked at its order", lambda: told(fleet)["ordered"] is not None, 60)
    assert fleet.system("road") == before and told(fleet)["problems"] == []


def test_an_order_that_cannot_be_left_is_said(fleet: Checkout, folder: tuple[Path, str]) -> None:
    plug(fleet, "off")
    fleet.touch("road", "another")
    orders = folder[0] / "orders"
    orders.rename(folder[0] / "kept")
    orders.touch()
    up = fleet.up()
    assert up.code == 1 and "Not done: road: no order could be left:" in up.text, up.text
    orders.unlink()
    (folder[0] / "kept").rename(orders)
    plug(fleet, "on")
    home = fleet.up()
    assert home.code == 0, home.text
