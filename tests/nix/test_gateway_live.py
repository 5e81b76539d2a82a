"""The gateway's generated configuration, run: the real HAProxy in front of the real Caddy, on loopback.

Addresses and ports are replaced by free ones and ACME by Caddy's own CA; everything else is the text of the host. Upstreams and
oauth2-proxy are small HTTP servers that answer with what they were asked.
"""

import http.client
import json
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port

from .conftest import ROOT, find_checker
from .workloads import only

TUNNEL = "127.0.0.1"  # wireproxy connects from here
NEIGHBOUR = "127.0.0.2"  # anybody else
MONITORING = "127.0.0.20"  # host monitoring, 192.168.10.20


class Upstream(BaseHTTPRequestHandler):
    """Answers with the request's path and headers."""

    def do_GET(self) -> None:
        body = json.dumps({"path": self.path, "headers": {key.lower(): value for key, value in self.headers.items()}})
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class OAuth2Proxy(Upstream):
    """Knows one cookie."""

    def do_GET(self) -> None:
        if self.path.startswith("/oauth2/auth"):
            known = "session=neo" in (self.headers.get("Cookie") or "")
            self.send_response(202 if known else 401)
            if known:
                self.send_header("X-Auth-Request-User", "neo")
            self.end_headers()
        else:
            super().do_GET()


@dataclass(frozen=True)
class Gateway:
    port: int
    """Of HAProxy's https frontend."""
    kubernetes: int
    """Where a connection to the cluster's names ends up."""

    def get(self, name: str, path: str = "/", *, source: str = NEIGHBOUR, **headers: str) -> tuple[int, dict[str, str], Any]:
        """GET by SNI and Host: status, headers, and the upstream's account of the request."""
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=15, source_address=(source, 0))
        context = ssl._create_unverified_context()
        with context.wrap_socket(raw, server_hostname=name) as tls:
            connection = http.client.HTTPConnection(name)
            connection.sock = tls
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            text = response.read()
            body = json.loads(text) if text.startswith(b"{") else None
            return response.status, {key.lower(): value for key, value in response.getheaders()}, body


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    programs = {name: find_checker(name) for name in ("caddy", "haproxy")}
    directory = tmp_path_factory.mktemp("gateway")
    with ExitStack() as stack:
        upstream, auth = (serve(stack, handler) for handler in (Upstream, OAuth2Proxy))
        https, plain, metrics, tls, api, stats, cluster = (free_port() for _ in range(7))
        caddyfile = str(only("gateway", "Caddyfile"))
        caddyfile = re.sub(r"issuer acme( \{[^}]*\})?", "issuer internal", caddyfile)
        caddyfile = re.sub(r"reverse_proxy 192\.168\.\d+\.\d+:\d+", f"reverse_proxy 127.0.0.1:{upstream}", caddyfile)
        caddyfile = caddyfile.replace("127.0.0.1:4180", f"127.0.0.1:{auth}").replace(":9180", f":{metrics}")
        caddyfile = caddyfile.replace("8443\n", f"{https}\n", 1).replace("servers :8443", f"servers 127.0.0.1:{https}")
        caddyfile = caddyfile.replace("remote_ip 192.168.10.20", f"remote_ip {MONITORING}")
        caddyfile = re.sub(r"/nix/store/\S*root_ca\.crt", f'"{ROOT / "nix/pki/root_ca.crt"}"', caddyfile)
        caddyfile = re.sub(r"tracing \{[^}]*\}", "", caddyfile)
        loopback = f"admin off\nskip_install_trust\ndefault_bind 127.0.0.1\nhttp_port {plain}\n"
        (directory / "Caddyfile").write_text(caddyfile.replace("{\n", "{\n" + loopback, 1))
        haproxy = str(only("gateway", "haproxy.conf"))
        for old, new in ((":443\n", tls), (":6443\n", api), (":8404\n", stats)):
            haproxy = haproxy.replace(f"bind {old}", f"bind 127.0.0.1:{new}\n")
        haproxy = haproxy.replace("/run/haproxy/", f"{directory}/")
        haproxy = haproxy.replace("127.0.0.1:8443", f"127.0.0.1:{https}")
        haproxy = re.sub(r"192\.168\.\d+\.\d+:\d+", f"127.0.0.1:{cluster}", haproxy)
        (directory / "haproxy.cfg").write_text(haproxy)

        start(stack, directory, programs["caddy"], "run", "--adapter", "caddyfile", "--config", str(directory / "Caddyfile"))
        wait_for(https)
        start(stack, directory, programs["haproxy"], "-db", "-f", str(directory / "haproxy.cfg"))
        wait_for(tls)
        yield Gateway(port=tls, kubernetes=cluster)


def serve(stack: ExitStack, handler: type[BaseHTTPRequestHandler]) -> int:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stack.callback(server.shutdown)
    return int(server.server_address[1])


def start(stack: ExitStack, directory: Path, *command: str) -> None:
    environment = {"HOME": str(directory), "XDG_DATA_HOME": str(directory), "PATH": "/usr/bin:/bin"}
    log = stack.enter_context((directory / f"{Path(command[0]).name}.log").open("w"))
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    stack.callback(process.wait, 10)
    stack.callback(process.terminate)


def wait_for(port: int, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"nothing listens on {port}")


def eventually(call: Callable[[], tuple[int, dict[str, str], Any]], seconds: float = 60) -> tuple[int, dict[str, str], Any]:
    """Certificates are issued at start, and HAProxy asks a few times before it calls Caddy up."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return call()
        except (OSError, http.client.HTTPException):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def test_a_service_with_its_own_login_is_passed_on(gateway: Gateway) -> None:
    status, headers, asked = eventually(lambda: gateway.get("grafana.home.example.org", "/d/1?x=2"))
    assert status == 200
    assert asked["path"] == "/d/1?x=2"
    assert asked["headers"]["host"] == "grafana.home.example.org"
    assert headers["strict-transport-security"] == "max-age=31536000"
    assert "server" not in headers or "Caddy" not in headers["server"]


def test_the_service_learns_who_asks(gateway: Gateway) -> None:
    """The address survives HAProxy (PROXY protocol) and Caddy; what a stranger says of himself does not."""
    forged = {"X-Forwarded-For": "203.0.113.9"}
    _, _, asked = eventually(lambda: gateway.get("grafana.home.example.org", **forged))
    assert asked["headers"]["x-forwarded-for"] == NEIGHBOUR


def test_the_public_gateway_may_speak_for_others(gateway: Gateway) -> None:
    _, _, asked = eventually(lambda: gateway.get("coder.example.org", source=TUNNEL, **{"X-Forwarded-For": "203.0.113.9"}))
    assert asked["headers"]["x-forwarded-for"].startswith("203.0.113.9")


def test_without_a_login_the_way_leads_to_keycloak(gateway: Gateway) -> None:
    status, headers, _ = eventually(lambda: gateway.get("prometheus.home.example.org", "/graph"))
    assert status == 302
    assert headers["location"] == "/oauth2/sign_in?rd=https://prometheus.home.example.org/graph"


def test_with_a_login_the_service_hears_the_name(gateway: Gateway) -> None:
    status, _, asked = eventually(lambda: gateway.get("prometheus.home.example.org", Cookie="session=neo"))
    assert status == 200
    assert asked["headers"]["x-auth-request-user"] == "neo"


def test_monitoring_reaches_the_service_behind_the_login(gateway: Gateway) -> None:
    """Its probe alone: by the login's redirect a dead service would look alive."""
    name, path = "prometheus.home.example.org", "/-/healthy"
    forged = {"X-Auth-Request-User": "root"}
    status, _, asked = eventually(lambda: gateway.get(name, path, source=MONITORING, **forged))
    assert status == 200 and asked["path"] == path
    assert "x-auth-request-user" not in asked["headers"]
    assert gateway.get(name, "/graph", source=MONITORING)[0] == 302
    assert gateway.get(name, path)[0] == 302
    # Who comes through the tunnel may say whom he speaks for; that opens nothing.
    spoken = {"X-Forwarded-For": MONITORING}
    assert gateway.get(name, path, source=NEIGHBOUR, **spoken)[0] == 302


def test_nobody_names_himself(gateway: Gateway) -> None:
    """A header that looks like oauth2-proxy's is not believed."""
    forged = {"X-Auth-Request-User": "root", "X-Auth-Request-Groups": "admins"}
    assert eventually(lambda: gateway.get("prometheus.home.example.org", **forged))[0] == 302
    status, _, asked = gateway.get("prometheus.home.example.org", Cookie="session=neo", **forged)
    assert status == 200
    assert asked["headers"]["x-auth-request-user"] == "neo"
    assert "x-auth-request-groups" not in asked["headers"]


def test_the_tunnel_does_not_reach_inside_names(gateway: Gateway) -> None:
    eventually(lambda: gateway.get("coder.example.org", source=TUNNEL))
    with pytest.raises((OSError, http.client.HTTPException)):
        gateway.get("grafana.home.example.org", source=TUNNEL)


def test_an_unknown_name_gets_no_certificate(gateway: Gateway) -> None:
    eventually(lambda: gateway.get("grafana.home.example.org"))
    with pytest.raises(OSError):
        gateway.get("nobody.home.example.org")


def test_the_login_itself_is_open(gateway: Gateway) -> None:
    status, _, asked = eventually(lambda: gateway.get("prometheus.home.example.org", "/oauth2/callback?code=1"))
    assert status == 200
    assert asked["path"] == "/oauth2/callback?code=1"
