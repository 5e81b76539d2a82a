"""Orders as a simulated host takes them: by its own unit, from a cache that is served, by the protocol of a deployment."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from aether_sim.testing import INVENTORY, started, wait_until
from inventory.generate import new_signing_key
from ops.orders.document import NONE, Order, signed
from tests.system.deployed_host import Host

pytestmark = pytest.mark.in_order("one host, which each test's order changes further")

UNIT = "systemctl start aether-order.service"


@dataclass
class Roaming(Host):
    """Host `metal`, which may be away, and the cache where its orders lie."""

    folder: Path = Path()
    url: str = ""

    def change(self) -> None:
        self.systems += 1
        facts = f'kind = "nixos-metal"\nroams = true\ndescription = "system {self.systems}"\n'
        cache = f'[cache]\npush = "file://{self.folder}"\npull = "{self.url}"\n'
        self.sim.inventory.write_text(INVENTORY.replace('kind = "nixos-metal"\n', facts) + cache)
        # What the program writes beside the SSH configuration.
        (self.sim.directory / "cache").write_text(f"metal file://{self.folder} {self.url} orders\n")

    def copied(self) -> str:
        """A system that the host never ran, built, signed and copied to the cache by the operator's script."""
        self.change()
        done = self.deploy(new=False, script="order.sh")
        assert done.code == 0, done.err
        return done.out.split()[0]

    def order(self, closure: str, **fields: Any) -> Order:
        """The order of CLOSURE, made now; FIELDS say it otherwise. Of each second there is one."""
        last = int(self.says("cat /var/lib/aether/ordered 2>/dev/null || echo 0"))
        done = self.account()[-1]["at"]
        wait_until("a second that had no order", lambda: time.time() > max(last, done) + 1)
        now = int(time.time())
        made = Order("metal", closure, f"source:{self.systems:x}", "ada@desk", "-", now, now, now + 600, 20, 1)
        return replace(made, **fields)

    @property
    def key(self) -> str:
        return (self.sim.state / "keys/nix-signing").read_text()

    def lay(self, order: Order, document: str = "") -> None:
        """Have ORDER, or DOCUMENT, lie at the cache."""
        (self.folder / "orders").mkdir(exist_ok=True)
        (self.folder / "orders/metal").write_text(document or signed(order, self.key))

    def ask(self) -> int:
        """Have the unit ask for an order, once what its timer began is over: its exit code."""
        self.rest()
        return self.sim.ssh("metal", UNIT).code

    def rest(self) -> None:
        wait_until("its unit rests", lambda: self.says("systemctl is-active aether-order.service") != "activating", 60)

    def noted(self, file: str = "order") -> dict[str, Any]:
        text = self.says(f"cat /var/lib/aether/{file} 2>/dev/null || true")
        return dict(json.loads(text)) if text else {}

    def account(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.says("cat /var/lib/aether/deployments.jsonl").splitlines()]

    def journal(self) -> str:
        return self.says("journalctl --no-pager -u aether-order.service -n 30")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roaming]:
    """Deployed once, with its timer off: a test says when it asks."""
    work = tmp_path_factory.mktemp("orders")
    folder, log = work / "cache", work / "log"
    folder.mkdir()
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)]
    with log.open("wb") as said:
        server = subprocess.Popen(command, stdout=said, stderr=said)
    wait_until("it serves", lambda: " port " in log.read_text())
    url = f"http://127.0.0.1:{log.read_text().split(' port ')[1].split()[0]}"
    for sim in started(work / "sim"):
        made = Roaming(sim, folder=folder, url=url)
        first = made.deploy()
        assert first.code == 0, first.err
        yield made
    server.kill()
    server.wait()


@pytest.fixture(autouse=True)
def by_hand(host: Roaming) -> Iterator[None]:
    host.says("systemctl stop aether-order.timer")
    host.rest()
    yield
    host.sim.cli("fault", "--clear")
    wait_until("nothing is pending", lambda: not host.armed(), 30)
    (host.folder / "orders/metal").unlink(missing_ok=True)
    host.says("systemctl reset-failed; rm -f /var/lib/aether/order-refused")


def test_it_takes_its_order_and_says_so_and_the_next_deployment_finds_it(host: Roaming) -> None:
    closure = host.copied()
    order = host.order(closure)
    host.lay(order)
    assert host.ask() == 0, host.journal()
    assert host.state() == (closure, closure, f"{order.desired} {closure}"), host.journal()
    assert (host.noted()["outcome"], host.noted()["at"]) == ("taken", order.at)
    last = host.account()[-1]
    assert (last["outcome"], last["id"], last["closure"]) == ("deployed", f"ada@desk+order:{order.at}", closure)
    assert not host.armed()
    told = json.loads(host.on_host("status.sh").out)
    assert told["order"]["outcome"] == "taken" and told["current"] == told["deployed"] == closure
    again = host.deploy(new=False, AETHER_DESIRED=order.desired)
    assert again.code == 0, again.err
    assert f"has taken {closure} by an order already" in again.err and "builds" not in again.err
    assert host.state()[0] == closure
    # Whoever wants something else is not told that it is there.
    other = host.deploy(new=False, AETHER_DESIRED="source:0")
    assert other.code == 0 and "builds" in other.err, other.err


def test_its_timer_asks(host: Roaming) -> None:
    closure = host.copied()
    host.lay(host.order(closure))
    host.says("systemctl start aether-order.timer")
    wait_until("it runs what was ordered", lambda: host.state()[0] == closure, 40)


def test_a_system_that_is_not_healthy_goes_back_and_is_not_tried_again(host: Roaming) -> None:
    before = host.state()
    closure = host.copied()
    order = host.order(closure)
    host.lay(order)
    host.sim.fault("metal", "health")
    assert host.ask() != 0, host.journal()
    assert host.state() == before
    noted = host.noted()
    assert noted["outcome"] == "reverted" and noted["closure"] == closure and "back on generation" in noted["why"], noted
    last = host.account()[-1]
    assert (last["outcome"], last["id"], last["closure"]) == ("reverted", f"ada@desk+order:{order.at}", closure)
    host.sim.fault("metal", "health", off=True)
    assert host.ask() == 0 and host.state() == before
    # A newer order is, also one that was left before this one came to its end.
    host.lay(replace(order, at=order.at + 1))
    assert host.ask() == 0 and host.state()[0] == closure, host.journal()


@pytest.mark.fault
def test_a_system_after_which_the_cache_does_not_answer_goes_back(host: Roaming) -> None:
    before = host.state()
    order = host.order(host.copied(), window=6)
    host.lay(order)

    def cut() -> None:
        wait_until("the trial is on", lambda: host.sim.ssh("metal", "test -e /run/aether/pending").code == 0)
        host.lay(order, "somebody else's page")

    with ThreadPoolExecutor(1) as pool:
        there = pool.submit(cut)
        assert host.ask() != 0
        there.result()
    assert host.state() == before and host.noted()["outcome"] == "reverted", host.noted()
    assert "the cache did not answer any more after the switch" in host.noted()["why"]
    assert host.account()[-1]["outcome"] == "reverted" and not host.armed()


def test_what_is_no_order_of_its_own_is_refused(host: Roaming) -> None:
    before = host.state()
    closure = host.copied()
    order = host.order(closure)
    seen = int(host.says("cat /var/lib/aether/ordered"))
    other = order.text().replace("aether order 1", "aether order 2")
    for document, why in (
        (signed(order, host.key).replace(f"settle {order.settle}", "settle 0"), "the fleet's key has not signed it"),
        (order.text(), "the fleet's key has not signed it"),
        (signed(order, new_signing_key()), "the fleet's key has not signed it"),
        (signed(replace(order, host="vm"), host.key), "it is for vm"),
        (signed(replace(order, at=seen - 1), host.key), "it is older than one that this host has seen"),
        (signed(replace(order, closure="/nix/store/../etc"), host.key), "it has no closure that could be one"),
        (_signed_text(other, host.key), "another version of Aether"),
    ):
        host.lay(order, document)
        assert host.ask() != 0
        refused = host.noted("order-refused")
        assert refused["outcome"] == "refused" and why in refused["why"], refused
        assert json.loads(host.on_host("status.sh").out)["order"] == refused
    assert host.state() == before
    host.lay(order)
    assert host.ask() == 0, host.journal()
    assert host.state()[0] == closure and not host.noted("order-refused")


def test_a_newer_deployment_wins(host: Roaming) -> None:
    order = host.order(host.copied())
    up = host.deploy()
    assert up.code == 0, up.err
    before = host.state()
    host.lay(order)
    assert host.ask() == 0 and host.state() == before
    assert host.noted()["outcome"] == "superseded"


def test_what_is_over_or_withdrawn_is_not_taken(host: Roaming) -> None:
    before = host.state()
    closure = host.copied()
    host.lay(host.order(closure, expires=int(time.time())))
    assert host.ask() == 0 and host.state() == before and host.noted()["outcome"] == "expired"
    order = host.order(closure)
    host.lay(replace(order, closure=NONE, desired=NONE, at=order.at + 1))
    assert host.ask() == 0 and host.state() == before
    host.lay(order)
    assert host.ask() != 0 and host.state() == before, "what was withdrawn came back"


def test_what_the_cache_has_not_yet_is_asked_for_again(host: Roaming) -> None:
    closure = host.copied()
    info = host.folder / f"{Path(closure).name[:32]}.narinfo"
    text = info.read_text()
    info.unlink()
    host.lay(host.order(closure))
    assert host.ask() == 0 and host.noted()["outcome"] == "waiting", host.journal()
    info.write_text(text)
    assert host.ask() == 0 and host.state()[0] == closure, host.journal()


def _signed_text(text: str, key: str) -> str:
    """A document of TEXT, which no Order says."""

    class Other(Order):
        def text(self) -> str:
            return text

    return signed(Other("", "", "", "", "", 0, 0, 0, 0, 0), key)
