"""What watches the fleet, under a real systemd: every panel that can have data here has it, and what is killed heals by itself.

Containers (house.py) are monitoring, gateway and step-ca with their own units and texts: Prometheus, Alertmanager, the blackbox
exporter, node exporters, the collector, HAProxy, Caddy and step-ca are the real programs (get-checkers.sh --house). Loki, Tempo
and Grafana are not had here; a server that takes or refuses stands for Loki, so that the collector delivers. No other host is
there.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import trustme

from nix.tools import evaluate

from . import house
from .conftest import CACHE
from .house import Container, House
from .house_hosts import ADDRESS, certified_by, gateway_texts, packaged, prometheus_texts, served_names, step_ca
from .monitoring import collector, jobs, lines_of, panels, rules
from .promql import metrics
from .workloads import only

pytestmark = [pytest.mark.long, pytest.mark.in_order("what is whole is looked at before anything is killed")]
# Jobs whose programs run here, and the files of metrics/ with their names.
RUNNING = {
    "alertmanager": "alertmanager",
    "blackbox": "blackbox",
    "caddy": "caddy",
    "collector": "collector",
    "haproxy": "haproxy",
    "node": "node",
    "prometheus": "prometheus",
    "step-ca": "step-ca",
}
# Metrics of programs that are not here.
NOT_HERE = ("loki_", "tempo_")
# systemd-nspawn lets nobody ask the kernel's clock.
NOT_IN_A_CONTAINER = {"node_timex_offset_seconds", "node_timex_sync_status"}
# Stands for Loki; what says so is refused, so that there is a delivery that failed.
REFUSED = "refuse this line"
TAKES_EVERYTHING = f"""
import gzip
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Takes(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.send_response(400 if {REFUSED.encode()!r} in body else 204)
        self.end_headers()
    def log_message(self, *_):
        pass
ThreadingHTTPServer(("127.0.0.1", 3100), Takes).serve_forever()
"""


@dataclass
class Watched:
    monitoring: Container
    gateway: Container
    authority: Container
    others: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def ask(self, query: str) -> list[dict[str, Any]]:
        """Prometheus' answer to an instant query."""
        url = "http://127.0.0.1:9090/api/v1/query"
        said = self.monitoring.run(
            "curl", "--silent", "--fail", "--max-time", "20", "--data-urlencode", f"query={query}", url, check=False
        )
        answer: dict[str, Any] = json.loads(said or "{}")
        return list(answer["data"]["result"]) if answer.get("status") == "success" else []

    def sees(self, query: str, seconds: float = 180) -> None:
        """Waits for a query to have an answer."""
        deadline = time.monotonic() + seconds
        while not self.ask(query):
            assert time.monotonic() < deadline, f"nothing ever answered {query}"
            time.sleep(1)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    if why := house.may():
        pytest.skip(why)
    checkers = CACHE / "checkers"
    if not (checkers / "house" / "watchers").exists():
        pytest.skip("the programs are not there: nix/tools/get-checkers.sh --house")
    with House(checkers / "house/root", tmp_path_factory.mktemp("house")) as made:
        found = deployed(made)
        try:
            yield found
        finally:
            for process in found.others:
                process.kill()
                process.wait()


def deployed(made: House) -> Watched:
    top = trustme.CA(organization_name="test", key_type=trustme.KeyType.ECDSA)
    middle = top.create_child_ca(key_type=trustme.KeyType.ECDSA)
    names = served_names()
    hosts = {name: made.container(name, ADDRESS[name], names) for name in ("step-ca", "gateway", "monitoring")}
    certified_by(top, middle, *hosts.values())
    found = Watched(hosts["monitoring"], hosts["gateway"], hosts["step-ca"])
    step_ca(found.authority, middle)
    gateway_texts(found.gateway, top.cert_pem.bytes().decode())
    for unit in ("haproxy.service", "caddy.service"):
        found.gateway.unit(unit, base=packaged(found.gateway, unit) if unit == "caddy.service" else None)
    watching(found.monitoring, middle)
    for host in hosts.values():
        node_exporter(host)
        # A real file system, as the hosts' are: a container's own is none that anybody asks for.
        (made.work / f"{host.name}-disk").mkdir()
        host.options = [f"--bind={made.work / f'{host.name}-disk'}:/srv/disk"]
        host.start()
    for host, unit in ((found.authority, "step-ca"), (found.gateway, "haproxy"), (found.gateway, "caddy")):
        host.runs(f"{unit}.service")
    loki = [*("nsenter", "--target", str(found.monitoring.leader), "--net", "--"), sys.executable, "-c", TAKES_EVERYTHING]
    found.others.append(subprocess.Popen(loki, env={**os.environ}))
    for host in hosts.values():
        host.run("/root/backup-done", "/var/lib/node-exporter-text/backup.prom")
    found.monitoring.run("systemd-cat", "echo", REFUSED)
    return found


def watching(host: Container, middle: Any) -> None:
    """Prometheus and what is beside it."""
    prometheus_texts(host)
    host.texts |= {
        "checked-config": str(only("monitoring", "alertmanager.yml")),
        "checked-blackbox-exporter.conf": json.dumps(only("monitoring", "blackbox.json")),
        "config.yaml": json.dumps(collector("monitoring")),
    }
    # What Nix brings by itself, beside Debian's programs: envsubst -o TO -i FROM; the text has no variables.
    assert "$" not in host.texts["checked-config"]
    host.write("/usr/bin/envsubst", '#!/usr/bin/bash\ncp "$4" "$2"\n', 0o755)
    certificate = middle.issue_cert("monitoring.home.example.org")
    chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
    host.write("/var/lib/acme/collector/fullchain.pem", chain.decode())
    host.write("/var/lib/acme/collector/key.pem", certificate.private_key_pem.bytes().decode())
    for unit in ("alertmanager", "prometheus-blackbox-exporter", "opentelemetry-collector"):
        host.unit(f"{unit}.service")
    host.write("/etc/systemd/system/broken.service", "[Service]\nExecStart=/usr/bin/false\n")
    host.want("broken.service")


def node_exporter(host: Container) -> None:
    host.unit("prometheus-node-exporter.service")
    script = (evaluate.ROOT / "nix/modules/backup-done.sh").read_text()
    host.write("/root/backup-done", f"#!/usr/bin/bash\n{script}", 0o755)
    host.write("/var/lib/node-exporter-text/keep", "")
    # systemd is asked over the bus of the system.
    for name in ("dbus.service", "dbus.socket"):
        host.write(f"/etc/systemd/system/{name}", packaged(host, name))
    host.want("dbus.socket", "sockets")


def test_every_exporter_answers(fleet: Watched) -> None:
    for host in (fleet.monitoring, fleet.gateway, fleet.authority):
        fleet.sees(f'up{{job="node",host="{host.name}"}} == 1')
    for job in RUNNING:
        fleet.sees(f'up{{job="{job}"}} == 1')


def test_certificates_are_given_and_seen(fleet: Watched) -> None:
    """Caddy's, of step-ca, by the probe of a service that is here: through HAProxy and Caddy, past the login."""
    fleet.sees('step_ca_x509_signed_total{success="true"} > 0')
    fleet.sees('probe_success{job="probe-web",service=~"alerts|ca|prometheus"} == 1', 300)


def test_machines_that_are_there_answer_a_ping(fleet: Watched) -> None:
    """By the capability that the prober's unit is given: a container has not the kernel setting that lets everybody ping."""
    assert fleet.monitoring.run("cat", "/proc/sys/net/ipv4/ping_group_range").split() == ["1", "0"]
    fleet.sees('probe_success{job="probe-ping",host="gateway"} == 1')


@pytest.mark.parametrize(("title", "query"), list(panels("prometheus")), ids=lambda value: str(value)[:40])
def test_every_panel_has_data(fleet: Watched, title: str, query: str) -> None:
    if any(name.startswith(NOT_HERE) for name in metrics(query)):
        assert fleet.ask(query) == []
        return
    fleet.sees(query.replace("$host", ".*"))


@pytest.mark.parametrize("job", sorted(RUNNING))
def test_programs_export_what_rules_and_panels_read(fleet: Watched, job: str) -> None:
    """Of what is said to be theirs (metrics/)."""
    read = set().union(*(metrics(alert["expr"]) for alert in rules()), *(metrics(text) for _, text in panels("prometheus")))
    known = lines_of(RUNNING[job]) | (lines_of("node-systemd") | lines_of("node-systemd-restarts") if job == "node" else set())
    assert job in jobs()
    # What a probe found stands under the job that asked for it.
    selector = 'job=~"probe-.*|blackbox"' if job == "blackbox" else f'job="{job}"'
    for name in sorted((known & read) - NOT_IN_A_CONTAINER):
        fleet.sees(f"{name}{{{selector}}}")


def test_every_rule_is_evaluated(fleet: Watched) -> None:
    said = json.loads(fleet.monitoring.run("curl", "--silent", "http://127.0.0.1:9090/api/v1/rules"))
    found = {rule["name"]: rule for group in said["data"]["groups"] for rule in group["rules"]}
    assert set(found) == {alert["alert"] for alert in rules()}
    assert {name: rule["lastError"] for name, rule in found.items() if rule.get("lastError")} == {}
    assert found["Watchdog"]["state"] == "firing"


def test_alerts_reach_alertmanager(fleet: Watched) -> None:
    def told() -> bool:
        said = fleet.monitoring.run("curl", "--silent", "http://127.0.0.1:9093/api/v2/alerts", check=False)
        return "Watchdog" in {alert["labels"]["alertname"] for alert in json.loads(said or "[]")}

    fleet.monitoring.eventually(told, "tells Alertmanager", 120, lambda: fleet.monitoring.log("alertmanager.service"))


KILLED = {
    "prometheus": "prometheus",
    "alertmanager": "alertmanager",
    "prometheus-blackbox-exporter": "blackbox",
    "prometheus-node-exporter": "node",
    "opentelemetry-collector": "collector",
}


@pytest.mark.parametrize("unit", KILLED)
def test_what_is_killed_heals_by_itself(fleet: Watched, unit: str) -> None:
    host = fleet.monitoring
    pid = ("systemctl", "show", "--property=MainPID", "--value", f"{unit}.service")
    before = host.run(*pid).strip()
    # The program alone, as where it crashes: what it has started (the collector: journalctl) is left to systemd.
    host.run("systemctl", "kill", "--kill-whom=main", "--signal=KILL", f"{unit}.service")

    def told() -> str:
        return host.run("systemctl", "status", "--no-pager", "--lines=60", f"{unit}.service", check=False)

    host.eventually(lambda: host.run(*pid).strip() not in ("0", before), f"starts {unit} again", 60, told)
    began = host.run("date", "+%s").strip()
    job = KILLED[unit]
    fleet.sees(f'up{{job="{job}",instance!="x"}} == 1 and timestamp(up{{job="{job}"}}) > {began}')


def test_the_journal_of_a_real_systemd_is_delivered(fleet: Watched) -> None:
    fleet.sees('rate(otelcol_exporter_sent_log_records{host="monitoring"}[5m]) > 0')


def test_a_unit_that_failed_is_known_by_its_name(fleet: Watched) -> None:
    fleet.sees('node_systemd_unit_state{host="monitoring",name="broken.service",state="failed"} == 1')
