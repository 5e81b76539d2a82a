"""The collector of host monitoring, run: what hosts send comes out with what rules select by, and it tells how it fares.

The text is the host's; ports, certificate and folder are this test's, and what the journal would give is sent by OTLP. Loki,
Prometheus and Tempo are one small HTTP server that keeps what it is sent.
"""

import gzip
import json
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.ports import free_port

from .conftest import find_checker
from .monitoring import collector, lines_of

REFUSED = "refuse me"


class Sink(BaseHTTPRequestHandler):
    """Keeps what the collector sends, by its path; refuses what says so."""

    kept: "dict[str, list[dict[str, Any]]]"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        refused = REFUSED.encode() in body
        self.send_response(400 if refused else 200)
        self.send_header("Content-Length", "2")
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b"{}")
        if not refused:
            self.kept.setdefault(self.path, []).append(json.loads(body))

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@dataclass
class Running:
    hosts: str
    """Where other hosts' collectors send to."""
    journal: str
    """What the journal of its own host says."""
    own: str
    """Its own metrics."""
    kept: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def send(self, to: str, kind: str, what: dict[str, Any]) -> None:
        request = urllib.request.Request(f"{to}/v1/{kind}", json.dumps(what).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert answer.status == 200

    def log(self, to: str, resource: dict[str, str], record: dict[str, Any]) -> None:
        """One line of a log, as a journal's fields or as a text."""
        logs = [{"scope": {}, "logRecords": [record]}]
        self.send(to, "logs", {"resourceLogs": [{"resource": {"attributes": pairs(resource)}, "scopeLogs": logs}]})

    def arrived(self, path: str, mark: str) -> dict[str, Any]:
        """What came to PATH with MARK in it."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for one in list(self.kept.get(path, ())):
                if mark in json.dumps(one):
                    return one
            time.sleep(0.1)
        raise AssertionError(f"{mark} never came to {path}: {self.kept}")

    def metrics(self) -> set[str]:
        with urllib.request.urlopen(self.own, timeout=20) as answer:
            lines = answer.read().decode().splitlines()
        return {line.split("{")[0].split(" ")[0] for line in lines if line and not line.startswith("#")}


def pairs(values: dict[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]


def values(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    return {one["key"]: next(iter(one["value"].values())) for one in attributes}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    program, work = find_checker("otelcol"), tmp_path_factory.mktemp("collector")
    kept: dict[str, list[dict[str, Any]]] = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Kept", (Sink,), {"kept": kept}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sink = f"http://127.0.0.1:{server.server_port}"
    hosts, journal, grpc, own = (free_port() for _ in range(4))
    (work / "collector.json").write_text(json.dumps(configuration(work, sink, hosts, journal, grpc, own)))
    log = work / "log"
    with log.open("wb") as out:
        process = subprocess.Popen([program, f"--config={work / 'collector.json'}"], stdout=out, stderr=out)
    found = Running(f"http://127.0.0.1:{hosts}", f"http://127.0.0.1:{journal}", f"http://127.0.0.1:{own}/metrics", kept)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert process.poll() is None, log.read_text()
            with suppress(OSError):
                found.metrics()
                # Its receivers listen after that.
                for port in (hosts, journal):
                    socket.create_connection(("127.0.0.1", port), timeout=5).close()
                break
            time.sleep(0.2)
        yield found
    finally:
        process.terminate()
        process.wait(30)
        server.shutdown()
        server.server_close()


def configuration(work: Path, sink: str, hosts: int, journal: int, grpc: int, own: int) -> dict[str, Any]:
    """The host's, with this test's ports; what goes to Tempo goes by HTTP, since nobody here speaks gRPC."""
    config: dict[str, Any] = json.loads(json.dumps(collector("monitoring")))
    certificate = trustme.CA().issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(work / "certificate.pem"))
    protocols = config["receivers"]["otlp"]["protocols"]
    protocols["http"]["endpoint"] = f"127.0.0.1:{hosts}"
    protocols["grpc"]["endpoint"] = f"127.0.0.1:{grpc}"
    protocols["grpc"]["tls"] |= dict.fromkeys(("cert_file", "key_file"), str(work / "certificate.pem"))
    del config["receivers"]["journald"]
    config["receivers"]["otlp/journal"] = {"protocols": {"http": {"endpoint": f"127.0.0.1:{journal}"}}}
    pipelines = config["service"]["pipelines"]
    pipelines["logs/own"]["receivers"] = ["otlp/journal"]
    pipelines["traces"]["exporters"] = ["otlp_http/tempo"]
    del config["exporters"]["otlp_grpc/tempo"]
    for name, path in {"loki": "/otlp", "prometheus": "/api/v1/otlp", "tempo": "/tempo"}.items():
        exporter = config["exporters"].setdefault(f"otlp_http/{name}", {})
        exporter |= {"endpoint": f"{sink}{path}", "encoding": "json", "retry_on_failure": {"enabled": False}}
    config["processors"]["batch"]["timeout"] = "100ms"
    config["extensions"]["file_storage"]["directory"] = str(work / "queue")
    (reader,) = config["service"]["telemetry"]["metrics"]["readers"]
    reader["pull"]["exporter"]["prometheus"] |= {"host": "127.0.0.1", "port": own}
    return config


JOURNAL = {
    "MESSAGE": "from the journal",
    "PRIORITY": "3",
    "SYSLOG_IDENTIFIER": "sshd",
    "_SYSTEMD_UNIT": "sshd.service",
    "_PID": "42",
}


def test_a_line_of_the_journal_has_its_labels_on_the_resource(running: Running) -> None:
    """Loki indexes those alone (test_logs.py says which)."""
    body = {"kvlistValue": {"values": pairs(JOURNAL)}}
    running.log(running.journal, {}, {"body": body})
    (resource,) = running.arrived("/otlp/v1/logs", JOURNAL["MESSAGE"])["resourceLogs"]
    labels = {"host.name": "monitoring", "service.name": "sshd", "service.namespace": "homelab"}
    assert values(resource["resource"]["attributes"]).items() >= labels.items()
    (record,) = resource["scopeLogs"][0]["logRecords"]
    assert record["body"] == {"stringValue": JOURNAL["MESSAGE"]}
    assert record["severityNumber"] == 17
    assert values(record["attributes"]).items() >= {"unit": "sshd.service", "priority": "3", "pid": "42"}.items()


def test_a_line_from_a_node_has_them_too(running: Running) -> None:
    """Alloy sends labels of Loki, which stand on the record."""
    sent = {"host_name": "niobe", "service_name": "kernel", "service_namespace": "homelab", "unit": "", "priority": "2"}
    running.log(running.hosts, {}, {"body": {"stringValue": "from a node"}, "attributes": pairs(sent)})
    (resource,) = running.arrived("/otlp/v1/logs", "from a node")["resourceLogs"]
    labels = {"host.name": "niobe", "service.name": "kernel", "service.namespace": "homelab"}
    assert values(resource["resource"]["attributes"]).items() >= labels.items()
    assert resource["scopeLogs"][0]["logRecords"][0]["severityNumber"] == 21


def test_a_metric_says_which_host_it_is_of(running: Running) -> None:
    point = {"asDouble": 1, "timeUnixNano": str(time.time_ns())}
    metric = {"name": "node_load1", "gauge": {"dataPoints": [point]}}
    one = {"resource": {"attributes": pairs({"host.name": "vps"})}, "scopeMetrics": [{"scope": {}, "metrics": [metric]}]}
    running.send(running.hosts, "metrics", {"resourceMetrics": [one]})
    found = running.arrived("/api/v1/otlp/v1/metrics", "node_load1")["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]
    assert values(found["gauge"]["dataPoints"][0]["attributes"]) == {"host": "vps"}


def span(name: str) -> dict[str, Any]:
    now = str(time.time_ns())
    one = {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": name, "kind": 2}
    return {"resourceSpans": [{"scopeSpans": [{"spans": [{**one, "startTimeUnixNano": now, "endTimeUnixNano": now}]}]}]}


def test_it_exports_what_rules_and_dashboards_read(running: Running) -> None:
    """Names in metrics/collector.txt are those of this run, after each kind was delivered, and refused."""
    test_a_line_from_a_node_has_them_too(running)
    test_a_metric_says_which_host_it_is_of(running)
    running.send(running.hosts, "traces", span("GET"))
    running.arrived("/tempo/v1/traces", "GET")
    running.send(running.hosts, "traces", span(REFUSED))
    running.log(running.hosts, {"host.name": "dev"}, {"body": {"stringValue": REFUSED}})
    metric = {"name": REFUSED, "gauge": {"dataPoints": [{"asDouble": 1}]}}
    running.send(running.hosts, "metrics", {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]})
    deadline = time.monotonic() + 60
    while (missing := lines_of("collector") - running.metrics()) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert missing == set(), " ".join(sorted(running.metrics()))
