"""The way home, run: from outside through the public gateway and the tunnel to a service at home, and back.

Network namespaces. The public gateway has what its roles write, rendered by Ansible: wg-quick brings its end of the tunnel up
(wireguard-go, where the kernel has no WireGuard), Caddy stands at its door, and a relay listens for its neighbours. Home has
the gateway's golden texts: HAProxy, Caddy and WireProxy, whose addresses are home's own, and its own authority. Outside there
are a visitor and the world's certificate authority (step-ca), which asks both for proof by ACME. Keys are made here; nothing
reaches the machine's own network. Where WireProxy is missing, wireguard-go and a fake for its forwarding are home's end.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from .conftest import find_checker
from .places import (
    AUTHORITY,
    DOOR,
    GATE,
    HOME,
    LINK,
    NAME,
    PRIVATE,
    TELEMETRY,
    VISITOR,
    Key,
    Place,
    Way,
    at_the_gate,
    authority,
    cable,
    eventually,
    of_the_world,
    stop,
)
from .workloads import only

pytestmark = pytest.mark.in_order("what is up is asked before anything is taken down")

OWN = "step-ca.home.example.org"
# An upstream that answers with what it was asked, at the service's own address and port.
SERVE = """
import http.server, json, sys
class Asked(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        asked = {"path": self.path, "headers": {name.lower(): value for name, value in self.headers.items()}}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(asked).encode())
http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Asked).serve_forever()
"""


@pytest.fixture(scope="module", params=["wireproxy", "wireguard-go"])
def way(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    """Everything is up, the tunnel too."""
    if os.geteuid():
        pytest.skip("needs root, for the network namespaces")
    for program in (request.param, "wireguard-go", "wg-quick", "caddy", "haproxy", "step-ca", "systemd-analyze"):
        find_checker(program)
    work = tmp_path_factory.mktemp("tunnel")
    with ExitStack() as stack:
        sites = re.findall(r"^([\w.-]+\.example\.org) ", only("gateway", "Caddyfile"), re.MULTILINE)
        world = f"{DOOR} {' '.join(name for name in sites if name.count('.') == 2)}\n{VISITOR} {AUTHORITY}\n"
        outside = Place("outside", work, world, stack)
        public = Place("public", work, world, stack)
        # AdGuard gives home its own answers.
        own = {GATE: "public-gateway.example.org", VISITOR: AUTHORITY, "192.168.10.10": " ".join(sites), "192.168.10.12": OWN}
        inside = "".join(f"{address} {names}\n" for address, names in own.items())
        home, inner, ca = (Place(name, work, inside, stack) for name in ("home", "inner", "step-ca"))
        cable(outside, VISITOR, public, DOOR)
        cable(public, GATE, home, HOME)
        cable(home, "192.168.10.10", ca, "192.168.10.12")
        home.run("ip", "route", "add", "default", "via", GATE)
        outside.run("ip", "route", "add", "203.0.113.0/24", "via", DOOR)
        public.run("sysctl", "-q", "net.ipv4.ip_forward=1")  # here it is the internet, too
        public.run("ip", "address", "add", f"{PRIVATE}/24", "dev", "lo")
        keys = {"home": Key(), "public": Key()}
        found = Way(outside, public, home, inner, work, request.param, keys)
        authority(ca, work / "own", "192.168.10.12:8443", OWN)
        (work / "world").mkdir()
        (work / "world/root").write_bytes(found.world.cert_pem.bytes())
        at_home(found)
        # The first day: no tunnel and no public authority yet, so that home's own one gives the certificates.
        eventually(lambda: home.run("curl", "-s", "--cacert", str(work / "own/root"), f"https://{NAME}/"), 60)
        authority(outside, work / "world", f"{VISITOR}:443", AUTHORITY, found.world)
        at_the_gate(found)
        stack.callback(found.hang_up)
        found.dial()
        found.wait()
        yield found


def at_home(way: Way) -> None:
    caddyfile = of_the_world(str(only("gateway", "Caddyfile")), way.work)
    caddyfile = re.sub(r"/nix/store/\S*root_ca\.crt", str(way.work / "own/root"), caddyfile)
    caddyfile = re.sub(r"tracing \{[^}]*\}", "", caddyfile)  # Debian's Caddy has none
    # The own authority asks through HAProxy, which is up before Caddy, as in a boot.
    caddyfile = caddyfile.replace("trusted_roots", "disable_http_challenge\n      trusted_roots")
    # Sites for home alone stay out: eighteen certificates would be ordered, one after the other (test_gateway_live.py asks them).
    inside = r"^[\w-]+\.home\.example\.org +\{\n.*?(?=^[\w.-]+\.example\.org +\{\n|\Z)"
    caddyfile = re.sub(inside, "", caddyfile, flags=re.MULTILINE | re.DOTALL)
    (way.work / "home.Caddyfile").write_text(caddyfile)
    (way.work / "haproxy.cfg").write_text(str(only("gateway", "haproxy.conf")))
    (service,) = re.findall(rf"^{re.escape(NAME)}.*?reverse_proxy (\S+)$", caddyfile, re.MULTILINE | re.DOTALL)[:1]
    telemetry = f"192.168.10.20:{TELEMETRY}"
    for address in (target.split(":")[0] for target in (service, telemetry)):
        way.home.run("ip", "address", "add", f"{address}/32", "dev", "lo")
    for target in (service, telemetry):
        way.home.start(sys.executable, "-c", SERVE, *target.split(":"))
    way.home.run("mkdir", "/run/haproxy")
    way.home.start(find_checker("haproxy"), "-db", "-f", str(way.work / "haproxy.cfg"))
    eventually(lambda: way.home.run("curl", "-sf", "http://127.0.0.1:8404/metrics"))
    way.open_door()


def restart(way: Way) -> None:
    """The public gateway's end of the tunnel."""
    for what in ("down", "up"):
        way.public.run("wg-quick", what, str(way.work / f"{LINK}.conf"))


def test_the_service_at_home_learns_who_asks(way: Way) -> None:
    """The visitor's address passes both Caddys and HAProxy; what he says of himself does not."""
    asked = way.get("/web/?x=1", "--header", "X-Forwarded-For: 192.0.2.9")
    assert asked["path"] == "/web/?x=1"
    headers = asked["headers"]
    assert headers["host"] == NAME
    assert headers["x-forwarded-for"].split(", ")[0] == VISITOR, headers
    assert headers["x-forwarded-proto"] == "https"


def test_home_gets_the_worlds_certificate_through_the_tunnel(way: Way) -> None:
    """Its own one served until here; the public gateway takes both."""
    stop(way.door)
    shutil.rmtree(way.work / "home.home/caddy/certificates")
    way.open_door()
    eventually(lambda: way.home.run("curl", "--silent", "--cacert", str(way.work / "world/root"), f"https://{NAME}/"))
    way.wait()


def test_a_relay_leads_home(way: Way) -> None:
    # Its listener starts beside the rest.
    asked = json.loads(eventually(lambda: way.public.run("curl", "-s", "--max-time", "5", f"http://{PRIVATE}:{TELEMETRY}/v1")))
    assert asked["path"] == "/v1"


def test_home_restarts(way: Way) -> None:
    way.hang_up()
    assert way.get() in (0, 502, 504)
    way.dial()
    way.wait(30)


def test_another_key_carries_nothing(way: Way) -> None:
    way.hang_up()
    restart(way)
    way.dial(Key().public)
    assert way.get() in (0, 502, 504)
    assert way.public.run("wg", "show", LINK, "latest-handshakes").split()[1] == "0"
    way.hang_up()
    way.dial()
    way.wait(30)
    assert way.public.run("wg", "show", LINK, "latest-handshakes").split()[1] != "0"


def test_the_public_gateway_restarts(way: Way) -> None:
    """It forgets where home is; home dials again by itself, long before WireGuard's own two minutes."""
    if way.kind != "wireproxy":
        pytest.skip("what asks whether the tunnel is alive is WireProxy")
    restart(way)
    way.wait(60)
