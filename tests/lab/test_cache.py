"""The fleet's binary cache with real Nix: a closure goes there once, over HTTP, and containers take it into a real store."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ops.orders.document import Order, signed
from ops.orders.place import Place
from tests.lab.container import PREFIX, ContainerNetwork
from tests.lab.disk import NIX
from tests.lab.operator import Operator
from tests.lab.units import ACTIVE, units
from tests.system.checkout import wait_until

pytestmark = pytest.mark.timeout(1800)

# A web server that takes files by PUT, as nginx does with `dav_methods PUT`: folder, address, port.
SERVER = """\
import http.server, pathlib, sys
folder, address, port = sys.argv[1:]
class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_PUT(self):
        file = pathlib.Path(self.translate_path(self.path))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()
http.server.ThreadingHTTPServer((address, int(port)), lambda *a: Handler(*a, directory=folder)).serve_forever()
"""


@dataclass
class Cache:
    """A folder that is served to the operator, who writes, and to the containers."""

    folder: Path
    push: str
    pull: str
    served: "subprocess.Popen[bytes]"

    def puts(self) -> list[str]:
        """Paths that were written, in their order."""
        return re.findall(r'"PUT (\S+)', (self.folder.parent / "push.log").read_text())

    def gets(self) -> list[str]:
        return re.findall(r'"GET (\S+) HTTP/1.1" 200', (self.folder.parent / "pull.log").read_text())


@pytest.fixture(scope="module")
def cache(site: ContainerNetwork, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cache]:
    work = tmp_path_factory.mktemp("cache")
    folder = work / "cache"
    folder.mkdir()
    (folder / "nix-cache-info").write_text("StoreDir: /nix/store\n")
    port = 20_000 + os.getpid() % 20_000
    servers = []
    for name, where, address in (("push", [], "127.0.0.1"), ("pull", site.ground.network, f"{PREFIX}1")):
        command = [*where, sys.executable, "-c", SERVER, str(folder), address, str(port)]
        with (work / f"{name}.log").open("wb") as log:
            servers.append(subprocess.Popen(command, stderr=log))
    wait_until("the cache answers", lambda: _answers(f"http://127.0.0.1:{port}/nix-cache-info"))
    yield Cache(folder, f"http://127.0.0.1:{port}", f"http://{PREFIX}1:{port}", servers[1])
    for server in servers:
        server.kill()
        server.wait()


def _answers(url: str) -> bool:
    try:
        return bool(urllib.request.urlopen(url, timeout=2).status == 200)
    except OSError:
        return False


@pytest.fixture(scope="module")
def hosts(site: ContainerNetwork, cache: Cache) -> dict[str, Operator]:
    """Containers `web` and `log`, which take their systems from the cache."""
    made = {}
    for name, last in (("web", 61), ("log", 62)):
        container = site.container(name, last)
        container.install(site.base.system(name=name, units=units()))
        (container.work / "cache").write_text(f"{name} {cache.push} {cache.pull}\n")
        made[name] = container.start().operator()
    return made


def changed(host: Operator) -> str:
    """A system that the host never ran, nor the operator's store had signed."""
    return host.system(units=units(1 + time.time_ns() % 1_000_000))


def test_a_closure_goes_to_the_cache_once_and_all_hosts_take_it_from_there(hosts: dict[str, Operator], cache: Cache) -> None:
    # A system without a name is anybody's: the same closure for both.
    drv = hosts["web"].system(name="", units=units(1 + time.time_ns() % 1_000_000))
    asked = f"/{Path(hosts['web'].built(drv)).name[:32]}.narinfo"
    for times, host in enumerate(hosts.values(), 1):
        done = host.deploy(drv, ACTIVE)
        assert done.code == 0, done.err
        assert "takes it from the cache" in done.err and host.runs() == host.boots() == host.built(drv)
        assert cache.gets().count(asked) == times
        assert cache.puts().count(asked) == 1, "it was sent again"


def test_what_the_fleet_did_not_sign_is_not_taken(hosts: dict[str, Operator], cache: Cache) -> None:
    host = hosts["web"]
    before, path = host.runs(), host.built(changed(host))
    subprocess.run([NIX, "copy", "--to", cache.push, path], check=True, capture_output=True)
    refused = host.on_host("pull.sh", path, cache.pull)
    assert refused.returncode == 11 and "not signed by any of the keys" in refused.stderr, refused.stderr
    assert host.machine.ssh(f"test -e {path}").returncode == 1 and host.runs() == before


def test_a_path_that_was_asked_for_too_early_is_found_as_soon_as_it_is_there(hosts: dict[str, Operator], cache: Cache) -> None:
    host = hosts["web"]
    drv = changed(host)
    early = host.on_host("pull.sh", host.built(drv), cache.pull)
    assert early.returncode == 11 and "don't know how to build these paths" in early.stderr, early.stderr
    done = host.deploy(drv, ACTIVE)
    assert done.code == 0, done.err


def test_a_host_takes_its_order_from_the_cache_by_its_own_timer(site: ContainerNetwork, cache: Cache) -> None:
    container = site.container("road", 63)
    served = {"push": cache.push, "pull": cache.pull}

    def system(seconds: int, unit: str = "web.service") -> str:
        return host.system(units=units(seconds), orders=served, health=[{"unit": unit, "timeout": 5}])

    host = container.operator()
    container.install(system(1))
    (container.work / "cache").write_text(f"road {cache.push} {cache.pull} orders\n")
    container.start()
    stamp, key = int(time.time()), site.base.signing_key.read_text().strip()
    good, bad = system(2 + stamp % 1_000_000), system(3, "missing.service")

    def order(drv: str, at: int) -> Order:
        done = host.deploy(drv, script="order.sh")
        assert done.code == 0, done.err
        closure = done.out.split()[0]
        assert closure == host.built(drv) and container.ssh(f"test -e {closure}").returncode == 1, "it was spoken to"
        return Order("road", closure, drv, "ada@desk", "-", at, at, stamp + 3600, 60, 1)

    def noted(what: str) -> dict[str, object]:
        return dict(json.loads(container.ssh(f"cat /var/lib/aether/{what} 2>/dev/null || echo {{}}").stdout))

    first = order(good, stamp)
    document = signed(first, key)
    Place(cache.push).write("road", document.replace("settle 1", "settle 0"))
    container.eventually(lambda: noted("order-refused").get("outcome") == "refused", "it refuses what was tampered with")
    assert container.ssh("systemctl is-failed aether-order.service").stdout.strip() == "failed"
    Place(cache.push).write("road", document)
    container.eventually(lambda: noted("order").get("outcome") == "taken", "it takes its order")
    assert host.runs() == host.boots() == first.closure
    container.eventually(
        lambda: container.ssh("systemctl is-failed aether-order.service").returncode == 1, "its unit is well again"
    )
    account = json.loads(container.sh("tail -n 1 /var/lib/aether/deployments.jsonl"))
    assert (account["outcome"], account["id"], account["closure"]) == ("deployed", f"ada@desk+order:{stamp}", first.closure)
    Place(cache.push).write("road", signed(order(bad, stamp + 1), key))
    container.eventually(lambda: noted("order").get("outcome") == "reverted", "it goes back")
    assert host.runs() == host.boots() == first.closure
    done = host.deploy(good, ACTIVE)
    assert done.code == 0 and f"has taken {first.closure} by an order already" in done.err, done.err


def test_a_cache_that_does_not_answer_is_said_and_the_host_stays_as_it_is(hosts: dict[str, Operator], cache: Cache) -> None:
    host = hosts["log"]
    before = host.runs()
    cache.served.kill()
    cache.served.wait()
    done = host.deploy(changed(host), ACTIVE)
    assert done.code == 11, done.err
    assert "log: FAILED: could not take /nix/store/" in done.err and "pulls = false" in done.err
    assert host.runs() == host.boots() == before
    (host.work / "cache").unlink()
    done = host.deploy(changed(host), ACTIVE)
    assert done.code == 0 and "the cache" not in done.err, done.err
