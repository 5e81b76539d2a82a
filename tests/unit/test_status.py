"""`aether status` and `drift`: what is told of each host, to people, to programs, and as a page."""

import json
import re
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from inventory.edges import KINDS, Edge, edges
from inventory.load import load_all
from ops import drift, fleet
from ops.orders.document import Order
from ops.stack import Stack
from ops.status import command, facts, page, picture
from ops.status.facts import Fleet, HostStatus, ago, problems
from ops.status.serve import Latest, server
from stacks.live import Report


@pytest.fixture(autouse=True)
def reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """A preview has written how hosts are reached; the answers are the tests' own."""
    monkeypatch.setattr("ops.hosts.known", lambda stack: "config")


NOW = 1_800_000_000
GATEWAY: dict[str, Any] = {
    "current": "/nix/store/abc-nixos-system-gateway-25.11", "booted": "/nix/store/abc-nixos-system-gateway-25.11",
    "desired": "source:1", "deployed": "/nix/store/abc-nixos-system-gateway-25.11", "since": str(NOW - 7200),
    "kernel": "same", "generation": "7",
    "deployed_at": NOW - 7200, "last": {"id": "ada@desk:4711", "outcome": "deployed", "revision": "0123456789ab"},
    "certificate": NOW - 3600, "backup": NOW - 40 * 3600, "load": 0.5, "memory": 2048 * 1024, "available": 1024 * 1024,
    "unhealthy": [], "failed": [],
}  # fmt: skip
KEYCLOAK = GATEWAY | {
    "current": "/nix/store/other-system", "kernel": "other", "backup": None, "unhealthy": ["tcp 8443"],
    "failed": ["x<y>.service"],
}  # fmt: skip


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Report]:
    """Hosts' reports by name, all of them deployed, none asked."""
    found = {
        "gateway": Report("gateway", True, facts=dict(GATEWAY)),
        "keycloak": Report("keycloak", True, facts=dict(KEYCLOAK)),
        "media": Report("media", False, reason="No route to host"),
        "niobe": Report("niobe", True, facts={"load": 1.5, "memory": 32768 * 1024, "available": 1000 * 1024}),
    }
    monkeypatch.setattr(facts, "reports", lambda *_, **__: found)
    monkeypatch.setattr(facts, "_wanted", lambda *_: {"gateway": "source:1", "keycloak": "source:2"})
    monkeypatch.setattr("ops.status.facts.time.time", lambda: NOW)
    monkeypatch.setattr(command, "deployed", lambda _: set(found))
    return found


@pytest.fixture
def seen(answers: dict[str, Report]) -> Fleet:
    stack = Stack("homelab")
    return facts.look(stack, fleet.inventory_of(stack), set(answers))


def test_programs_are_told_all_that_is_known(answers: dict[str, Report], capsys: pytest.CaptureFixture[str]) -> None:
    code = command.status(Stack("homelab"), ["--json"])
    told = json.loads(capsys.readouterr().out)
    hosts = {entry["host"]: entry for entry in told["hosts"]}
    assert (code, told["stack"], told["at"]) == (1, "homelab", NOW), "a deployed host does not answer"
    gateway = hosts["gateway"]
    assert (gateway["state"], gateway["generation"], gateway["system"]) == ("running", "7", "nixos-system-gateway-25.11")
    assert (gateway["deployed_by"], gateway["revision"], gateway["deployed_at"]) == ("ada@desk", "0123456789ab", NOW - 7200)
    assert (gateway["behind"], gateway["drift"], gateway["reboot"]) == (False, "", False)
    assert (gateway["memory"], gateway["available"], gateway["load"]) == (2048, 1024, 0.5)
    keycloak = hosts["keycloak"]
    assert (keycloak["state"], keycloak["behind"], keycloak["reboot"]) == ("running, needs a reboot", True, True)
    assert keycloak["unhealthy"] == ["tcp 8443"]
    assert keycloak["drift"].startswith("runs /nix/store/other-system instead of ")
    assert (hosts["media"]["state"], hosts["media"]["answers"]) == ("does not answer (No route to host)", False)
    assert (hosts["niobe"]["planned"], hosts["niobe"]["available"]) == (8192 + 4096 + 1024, 1000)
    assert told["problems"]["gateway"] == ["last backup 40 h ago"]
    assert [each.split(":")[0] for each in told["problems"]["keycloak"]] == [
        "tcp 8443 does not hold", "x<y>.service has failed", "drifted", "behind", "waits for a reboot",
    ]  # fmt: skip
    assert "public-gateway" in hosts and hosts["public-gateway"]["state"] == "another stack"


def test_people_see_a_table_and_what_wants_attention(answers: dict[str, Report], capsys: pytest.CaptureFixture[str]) -> None:
    answers["media"] = Report("media", True, facts=dict(GATEWAY))
    assert command.status(Stack("homelab"), []) == 0
    shown = capsys.readouterr().out
    assert re.search(r"gateway +nixos-vm +oracle +192.168.10.10 +running +7 +2 h ago", shown)
    assert "keycloak: tcp 8443 does not hold; x<y>.service has failed" in shown
    assert "public-gateway" not in shown, "of another stack: it was not asked"


def test_what_is_right_wants_no_attention() -> None:
    good = HostStatus(
        "web", "nixos-vm", "pve", "192.0.2.1", "running", answers=True, backup=NOW - 3600, certificate=NOW, reboot=False
    )
    assert problems(good, NOW) == []


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(5, "just now"), (120, "2 min ago"), (7200, "2 h ago"), (86400, "24 h ago"), (200000, "2 d ago"), (-5, "just now")],
)
def test_distances_in_words(seconds: int, told: str) -> None:
    assert ago(NOW - seconds, NOW) == told


def test_every_kind_of_edge_is_found_in_the_inventories() -> None:
    found = edges(load_all(["inventory/homelab.toml", "inventory/cloud.toml"]))
    assert {edge.kind for edge in found} == set(KINDS)
    assert Edge("depends_on", "gateway", "media") in found
    assert Edge("service", "gateway", "media", "jellyfin, torrent, books") in found
    assert Edge("service", "monitoring", "keycloak", "logins of grafana") in found
    assert Edge("tunnel", "public-gateway", "gateway", "WireGuard") in found
    assert Edge("tunnel", "public-gateway", "smith-storage", "backups, port 22") in found
    assert Edge("network", "clients", "laptop") in found
    assert not [edge for edge in edges(load_all(["inventory/homelab.toml"])) if edge.kind == "tunnel"], "its end is elsewhere"


class _Tags(HTMLParser):
    """Elements that are open, ids, and what refers to elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.paths: list[tuple[str | None, str | None]] = []
        self.boxes: set[str | None] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [found["id"]] if found.get("id") else []  # type: ignore[list-item]
        self.targets += [value for key in ("href", "src") if (value := found.get(key))]
        if tag == "path" and "data-from" in found:
            self.paths.append((found["data-from"], found["data-to"]))
        if tag == "g":
            self.boxes.add(found.get("data-name"))


def test_the_page_shows_every_host_and_every_edge_and_needs_nobody_else(seen: Fleet) -> None:
    text = page.whole(seen)
    tags = _Tags(text)
    assert len(tags.ids) == len(set(tags.ids))
    assert all(target.startswith("#") and target[1:] in tags.ids for target in tags.targets), "nothing is loaded from elsewhere"
    assert {f"host-{host.host}" for host in seen.hosts} <= set(tags.ids)
    assert len(tags.paths) == len(seen.edges)
    assert {end for path in tags.paths for end in path} <= tags.boxes
    assert "x&lt;y&gt;.service has failed" in text and "x<y>" not in text, "what a host says is text"
    assert "ada@desk" in text and "last backup 40 h ago" in text
    assert "prefers-color-scheme: dark" in text


def test_boxes_of_the_picture_do_not_cover_each_other(seen: Fleet) -> None:
    rects = [
        tuple(map(int, found)) for found in re.findall(r'<rect x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)"', page.main(seen))
    ]
    assert len(rects) == len([host for host in seen.hosts if host.kind != "proxmox-node"]) + len(seen.networks)
    for index, (x, y, width, height) in enumerate(rects):
        for other_x, other_y, *_ in rects[:index]:
            assert abs(x - other_x) >= width or abs(y - other_y) >= height


def test_the_export_and_the_topology_are_the_same_page(answers: dict[str, Report], tmp_path: Path, seen: Fleet) -> None:
    assert command.status(Stack("homelab"), ["--export", str(tmp_path / "a/status.html")]) == 1
    assert (tmp_path / "a/status.html").read_text() == page.whole(seen)
    assert command.topology(Stack("homelab"), []) == 0
    drawn = Path("dist/topology.html").read_text()
    assert "nobody was asked" in drawn and len(_Tags(drawn).paths) == len(seen.edges)


@pytest.fixture
def served(seen: Fleet) -> Iterator[tuple[str, list[int]]]:
    """Address of a server of the page, and how often it looked at the fleet."""
    looks: list[int] = []
    latest = Latest(lambda: (looks.append(1), seen)[1], every=3600)  # type: ignore[func-returns-value]
    with server(latest, "127.0.0.1", 0, 1) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}", looks
        running.shutdown()
        thread.join()


def _get(url: str, **headers: str) -> str:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
        return str(answer.read().decode())


def test_the_server_asks_the_fleet_once_for_all_who_look(served: tuple[str, list[int]], seen: Fleet) -> None:
    address, looks = served
    assert _get(f"{address}/") == page.whole(seen, 1)
    assert _get(f"{address}/main") == page.main(seen)
    assert json.loads(_get(f"{address}/status.json?x=1"))["problems"] == json.loads(json.dumps(seen.as_json()))["problems"]
    assert looks == [1]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        _get(f"{address}/etc/passwd")
    with pytest.raises(urllib.error.HTTPError, match="421"):
        _get(f"{address}/status.json", Host="evil.example.org")


CHROMIUM = shutil.which("chromium")


@pytest.fixture
def browser() -> Iterator[Any]:
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: uv sync --group browser")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: apt install chromium")
    with driver.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=False, args=["--disable-gpu"])
        yield launched
        launched.close()


def test_the_page_in_a_browser(served: tuple[str, list[int]], browser: Any, tmp_path: Path) -> None:
    address, _ = served
    backs = set()
    for width, scheme in ((390, "light"), (390, "dark"), (1400, "light"), (1400, "dark")):
        view = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        wrong: list[str] = []
        asked: list[str] = []
        view.on("pageerror", lambda error, wrong=wrong: wrong.append(str(error)))
        view.on("console", lambda line, wrong=wrong: wrong.append(line.text) if line.type == "error" else None)
        view.on("request", lambda request, asked=asked: asked.append(request.url))
        view.goto(f"{address}/")
        assert view.evaluate("document.documentElement.scrollWidth") <= width, "the page is not wider than the screen"
        assert view.evaluate("parseFloat(getComputedStyle(document.querySelector('svg text')).fontSize)") >= 10
        backs.add((scheme, view.evaluate("getComputedStyle(document.body).backgroundColor")))
        # Choosing a host leaves its own edges; the others step back.
        view.locator('svg [data-name="media"]').first.click()
        on = view.evaluate("[...document.querySelectorAll('svg path.on')].map((path) => path.dataset.from).sort()")
        assert on == ["gateway", "gateway", "network servers"]
        view.locator("#show-network").uncheck()
        assert not view.locator("path.network").first.is_visible()
        # The live part asks again, and keeps what was chosen.
        with view.expect_response(f"{address}/main"):
            pass
        view.locator("svg path.on").nth(2).wait_for(state="attached")
        assert view.locator("#live").inner_text() == "live"
        assert all(url.startswith(address) for url in asked) and wrong == []
        view.screenshot(path=str(tmp_path / f"{width}-{scheme}.png"), full_page=True)
        view.close()
    assert len(backs) == 2, "dark and light differ, each the same at every width"


def test_drift_tells_programs_the_hosts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    own, other = "/nix/store/a-system", "/nix/store/b-system"
    found = {"media": Report("media", True, facts={"current": other, "deployed": own, "since": "-"})}
    monkeypatch.setattr(drift, "systems", lambda *_: found)
    assert drift.drift(Stack("homelab"), ["--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"media": f"runs {other} instead of {own}"}
    found.clear()
    assert drift.drift(Stack("homelab"), ["--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {}


def test_a_host_that_nobody_takes_back_is_told_by_both(
    answers: dict[str, Report], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is no drift: nothing that a deployment repairs."""
    answers.clear()
    why = "greenboot-healthcheck.service is not enabled. Fix: systemctl enable greenboot-healthcheck.service"
    answers["gaming"] = Report("gaming", True, facts={"deployments": [], "unarmed": why})
    monkeypatch.setattr(drift, "systems", lambda *_: answers)
    assert command.status(Stack("homelab"), []) == 0
    told = capsys.readouterr().out
    assert re.search(r"gaming .*running, not armed", told)
    assert f"gaming: not armed, nobody takes a bad image back in its boot: {why}" in told
    assert drift.drift(Stack("homelab"), ["--json"]) == 0
    found = capsys.readouterr()
    assert (found.out, found.err) == (
        "{}\n", f"WARNING: gaming is not armed, nobody takes a bad image back in its boot: {why}\n",
    )  # fmt: skip


ORDER = Order("laptop", "/nix/store/x", "source:2", "ada@desk", "-", NOW - 100, NOW - 7200, NOW + 1000, 60, 2)


def told_of_order(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, Report], order: Order | None, told: dict[str, Any] | None, **more: Any
) -> HostStatus:
    """The laptop, with ORDER at the cache; it says TOLD of its last one, or is away (None)."""
    monkeypatch.setattr(facts, "lying", lambda _: {"laptop": order} if order else {})
    away = Report("laptop", False, reason="No route to host")
    answers["laptop"] = away if told is None else Report("laptop", True, facts={**GATEWAY, "order": told or None, **more})
    stack = Stack("homelab")
    return facts.look(stack, fleet.inventory_of(stack), set(answers)).host("laptop")


def test_an_order_is_pending_until_its_host_has_dealt_with_it(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, Report], capsys: pytest.CaptureFixture[str]
) -> None:
    away = told_of_order(monkeypatch, answers, ORDER, None)
    assert (away.state, away.pending, away.answers, problems(away, NOW)) == ("pending", NOW - 7200, None, [])
    assert command.status(Stack("homelab"), []) == 1
    shown = capsys.readouterr().out
    assert re.search(r"laptop +nixos-metal +- +192.168.20.11 +pending, order left 2 h ago ", shown), shown
    assert told_of_order(monkeypatch, answers, None, None).state == "away"
    assert told_of_order(monkeypatch, answers, replace(ORDER, expires=NOW), None).state == "away"
    here = told_of_order(monkeypatch, answers, ORDER, {})
    assert (here.state, here.pending, here.ordered) == ("running", NOW - 7200, None)
    taken = told_of_order(monkeypatch, answers, ORDER, {"at": ORDER.at, "outcome": "taken", "ended": NOW - 50})
    assert (taken.state, taken.pending, taken.ordered, taken.order) == ("running", None, NOW - 50, "")
    # A deployment brought it what was ordered.
    assert told_of_order(monkeypatch, answers, ORDER, {}, desired="source:2").pending is None
    older = told_of_order(monkeypatch, answers, ORDER, {"at": ORDER.at - 1, "outcome": "taken", "ended": NOW - 50})
    assert (older.pending, older.ordered) == (NOW - 7200, NOW - 50)


@pytest.mark.parametrize(
    ("outcome", "says", "pending"),
    [
        ("reverted", "took the system of its order back, 50 min ago: not healthy", False),
        ("failed", "could not take its order, 50 min ago: not healthy", False),
        ("boot", "could not take its order, 50 min ago: not healthy", True),
        ("refused", "refused an order, 50 min ago: not healthy", True),
        ("waiting", "could not take its order yet, 50 min ago: not healthy", True),
        ("superseded", "", False),
    ],
)
def test_how_an_order_ended_is_told_until_the_next_deployment(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, Report], outcome: str, says: str, pending: bool
) -> None:
    told = {"at": ORDER.at, "outcome": outcome, "why": "not healthy", "ended": NOW - 3000}
    seen = told_of_order(monkeypatch, answers, ORDER, told)
    assert (seen.order, seen.pending is not None) == (says, pending)
    assert (says in problems(seen, NOW)) is bool(says)
    assert told_of_order(monkeypatch, answers, ORDER, told, deployed_at=NOW - 2000).order == ""


def test_an_order_that_was_begun_and_never_ended_is_told(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Report]) -> None:
    begun = {"at": ORDER.at, "outcome": "begun", "ended": NOW - 60}
    assert told_of_order(monkeypatch, answers, ORDER, begun).order == ""
    broken_off = told_of_order(monkeypatch, answers, ORDER, begun | {"ended": NOW - 5000})
    assert broken_off.order == "began to take its order 1 h ago, and never ended"


def test_who_does_not_answer_is_not_called_undrifted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    silent = {"gateway": Report("gateway", False, "no route"), "keycloak": Report("keycloak", True, facts=None)}
    monkeypatch.setattr(drift, "systems", lambda *_: silent)
    monkeypatch.setattr(drift, "drifted", lambda *_: {})
    assert drift.drift(Stack("homelab"), []) == 0
    said = capsys.readouterr().out
    assert "gateway does not answer: whether it drifted is not known." in said and "Of the 1 that answer none drifted." in said


def test_a_small_fleet_s_lines_stay_in_the_picture() -> None:
    hosts = tuple(HostStatus(name, "nixos-vm", "pve", "192.0.2.1", "running") for name in ("dns", "apps", "web"))
    ways = tuple(Edge("network", "servers", host.host) for host in hosts)
    fleet = Fleet("home", "sim", NOW, hosts, ways, {"servers": "192.0.2.0/24"})
    text = picture.draw(fleet, {})
    width = int(text.split('viewBox="0 0 ')[1].split()[0])
    numbers = [
        int(number)
        for way in re.findall(r'<path class="network"[^>]* d="M([^"]+)"', text)
        for number in re.findall(r"(\d+) \d+", way)
    ]
    assert len(numbers) == 12 and max(numbers) < width
    assert f"max-width:{width * 5 // 4}px" in text
