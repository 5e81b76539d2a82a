"""Certificates that NixOS' own units order and renew (``security.acme``): the real lego asks the real step-ca; no client notices.

Containers (house.py) are step-ca, OpenBao, which is reloaded, and monitoring, whose collector reads its files again; units,
scripts and sandboxes are the hosts' own (get-checkers.sh --house, --bao). Certificates live two minutes, so the collector looks
at its files every second instead of every hour, and what the hourly timer starts is started here.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from . import house
from .conftest import CACHE, ask
from .house import Container, House
from .house_hosts import ADDRESS, certified_by, served_names, step_ca
from .monitoring import collector

pytestmark = [pytest.mark.long, pytest.mark.in_order("a certificate is ordered, then renewed, then kept without its authority")]
CERTIFICATES = {"openbao": ("openbao", 8200), "monitoring": ("collector", 4317)}
"""Host to the name of its certificate there, and the port of what shows it."""
# Opens connections until its standard input ends: one after the other, and one that stays. Says which serial numbers it was
# shown, and what went wrong.
CLIENT = r"""
import json, select, socket, ssl, sys
root, address, name, port = sys.argv[1:]
trust = ssl.create_default_context(cafile=root)
trust.set_alpn_protocols(["h2", "http/1.1"])
def connect():
    return trust.wrap_socket(socket.create_connection((address, int(port)), 10), server_hostname=name)
def serial(connection):
    return connection.getpeercert()["serialNumber"]
def closed(connection):
    connection.setblocking(False)
    try:
        while connection.recv(65536):
            pass
        return True
    except (ssl.SSLWantReadError, BlockingIOError):
        return False
stays = connect()
# HTTP/2's first words, so that the server has no reason to hang up.
if stays.selected_alpn_protocol() == "h2":
    stays.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)))
seen, wrong = [serial(stays)], []
print("connected", flush=True)
while not select.select([sys.stdin], [], [], 0.1)[0]:
    try:
        with connect() as connection:
            found = serial(connection)
            if found != seen[-1]:
                seen.append(found)
                print("another", flush=True)
    except OSError as error:
        wrong.append(str(error))
if closed(stays):
    wrong.append("the connection that stays was closed")
print(json.dumps({"seen": seen, "wrong": wrong}))
"""


@dataclass
class Fleet:
    authority: Container
    openbao: Container
    monitoring: Container
    root: Path
    """The authority's root certificate, for clients."""

    def host(self, name: str) -> Container:
        return {"openbao": self.openbao, "monitoring": self.monitoring}[name]

    def renew(self, name: str, check: bool = True) -> str:
        """What the timer of a host's certificate starts; its log."""
        unit = f"acme-order-renew-{CERTIFICATES[name][0]}.service"
        # The timer's starts are an hour apart, these are too many for systemd.
        self.host(name).run("systemctl", "reset-failed", unit, check=False)
        self.host(name).run("systemctl", "start", unit, check=check)
        return self.host(name).log(unit)

    def client(self, name: str) -> "subprocess.Popen[str]":
        """A client that connects to a host until it is told to stop."""
        command = [sys.executable, "-c", CLIENT, str(self.root), ADDRESS[name], f"{name}.home.example.org"]
        inside = ["nsenter", "--target", str(self.authority.leader), "--net", "--"]
        return subprocess.Popen(
            [*inside, *command, str(CERTIFICATES[name][1])], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def shown(self, name: str) -> str:
        """The certificates that a host shows now; nothing where they are not the authority's."""
        ask = ("curl", "--silent", "--cacert", "/root/root.pem", "--output", "/dev/null", "--write-out", "%{certs}")
        url = f"https://{name}.home.example.org:{CERTIFICATES[name][1]}/"
        return self.authority.run(*ask, url, check=False)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    if why := house.may():
        pytest.skip(why)
    checkers = CACHE / "checkers"
    for made, how in ((checkers / "house/renewers", "--house"), (checkers / "bin/bao", "--bao")):
        if not made.exists():
            pytest.skip(f"the programs are not there: nix/tools/get-checkers.sh {how}")
    work = tmp_path_factory.mktemp("house")
    with House(checkers / "house/root", work) as made_house:
        yield deployed(made_house, work)


def deployed(made: House, work: Path) -> Fleet:
    top = trustme.CA(organization_name="test", key_type=trustme.KeyType.ECDSA)
    middle = top.create_child_ca(key_type=trustme.KeyType.ECDSA)
    names = served_names() | {"openbao.home.example.org": ADDRESS["openbao"]}
    hosts = {name: made.container(name, ADDRESS[name], names) for name in ("step-ca", *CERTIFICATES)}
    certified_by(top, middle, *hosts.values())
    root = work / "root.pem"
    root.write_bytes(top.cert_pem.bytes())
    fleet = Fleet(hosts["step-ca"], hosts["openbao"], hosts["monitoring"], root)
    step_ca(fleet.authority, middle, {"defaultTLSCertDuration": "2m", "minTLSCertDuration": "1m"})
    fleet.authority.write("/root/root.pem", root.read_text())
    for name, (certificate, _) in CERTIFICATES.items():
        host = fleet.host(name)
        # What verifies servers' certificates.
        host.write("/etc/ssl/certs/ca-certificates.crt", root.read_text())
        for unit in ("acme-setup", f"acme-{certificate}", f"acme-order-renew-{certificate}"):
            host.unit(f"{unit}.service")
    openbao(fleet.openbao)
    settings: dict[str, Any] = collector("monitoring")
    settings["receivers"]["otlp"]["protocols"]["grpc"]["tls"]["reload_interval"] = "1s"
    fleet.monitoring.texts["config.yaml"] = json.dumps(settings)
    fleet.monitoring.unit("opentelemetry-collector.service")
    fleet.authority.start()
    fleet.authority.runs("step-ca.service")
    for name in CERTIFICATES:
        fleet.host(name).start()
    fleet.openbao.runs("openbao.service")
    fleet.monitoring.runs("opentelemetry-collector.service")
    return fleet


def openbao(host: Container) -> None:
    # Built without the web page.
    host.texts["openbao.hcl.json"] = json.dumps(
        {**ask("nixosConfigurations.openbao.config.services.openbao.settings"), "ui": False}
    )
    program = host.root / "usr/bin/bao"
    program.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(CACHE / "checkers/bin/bao", program)
    host.unit("openbao.service")


@pytest.mark.parametrize("name", CERTIFICATES)
def test_the_first_certificate_is_ordered_when_the_host_starts(fleet: Fleet, name: str) -> None:
    """Until it is there, the service has one that nobody signed (minica's); it takes the authority's without a restart."""
    host, certificate = fleet.host(name), CERTIFICATES[name][0]
    unit = f"acme-order-renew-{certificate}.service"
    host.eventually(lambda: fleet.shown(name), "shows the authority's certificate", 120, lambda: host.log(unit))
    host.run("test", "-e", "/var/lib/acme/.minica/cert.pem")
    services = [unit for unit in host.units if not unit.startswith("acme-")]
    assert host.run("systemctl", "show", "--property=NRestarts", "--value", *services).split() == ["0"]


@pytest.mark.parametrize("name", CERTIFICATES)
def test_renewals_are_seen_by_nobody(fleet: Fleet, name: str) -> None:
    """Three certificates after each other, to one client that connects ten times a second, and over one connection that stays."""
    host = fleet.host(name)
    before = host.run("systemctl", "show", "--property=MainPID,NRestarts", *host.units)
    client = fleet.client(name)
    assert client.stdin is not None and client.stdout is not None
    assert client.stdout.readline() == "connected\n"
    for _ in range(2):
        serial = fleet.shown(name)

        def renewed(old: str = serial) -> bool:
            fleet.renew(name)
            return fleet.shown(name) not in ("", old)

        host.eventually(renewed, "shows another certificate", 180, lambda: fleet.renew(name, check=False))
    client.stdin.close()
    said = json.loads(client.stdout.read().splitlines()[-1])
    client.wait(20)
    assert said["wrong"] == [] and len(set(said["seen"])) >= 3, said
    assert host.run("systemctl", "show", "--property=MainPID,NRestarts", *host.units) == before


@pytest.mark.parametrize("name", CERTIFICATES)
def test_without_the_authority_the_certificate_stays_and_the_next_look_renews_it(fleet: Fleet, name: str) -> None:
    serial = fleet.shown(name)
    fleet.authority.run("systemctl", "stop", "step-ca.service")
    fleet.renew(name, check=False)
    assert fleet.shown(name) == serial
    fleet.authority.run("systemctl", "start", "step-ca.service")
    fleet.authority.runs("step-ca.service")

    def renewed() -> bool:
        fleet.renew(name, check=False)
        return fleet.shown(name) not in ("", serial)

    fleet.host(name).eventually(renewed, "shows another certificate", 240, lambda: fleet.renew(name, check=False))
