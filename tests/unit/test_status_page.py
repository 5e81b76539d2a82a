"""The page of `aether status`: the picture, its export, its server, and what a browser makes of it."""

import json
import re
import shutil
import threading
import urllib.request
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from inventory.edges import Edge
from ops.stack import Stack
from ops.status import command, page, picture
from ops.status.facts import Fleet, HostStatus
from ops.status.serve import Latest, server
from stacks.live import Report
from tests.unit.status_fleet import NOW, answers, reached, seen

__all__ = ["answers", "reached", "seen"]


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
