"""What watches the fleet, held against what it does: nobody is asked who does not answer, nothing awaited that never comes.

Every test reads what the hosts are given; golden texts, where they cannot be evaluated.
"""

import json
import re
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from nix.tools import evaluate
from ops.metrics import HELP, of_fleet, of_pins, of_runs, rendered
from ops.runs import Run
from ops.status.facts import Fleet, HostStatus

from .caddyfile import site as block
from .conftest import ask, host_report
from .monitoring import HERE, RULES, jobs, lines_of, panels, prometheus, rules
from .promql import metrics
from .realm import ISSUER
from .servers import FACTS, ROLE, SERVERS, texts
from .workloads import only, settings

# Series that Prometheus makes itself.
OWN = {"up", "ALERTS"}
# Files of metrics/ of a job's exporter, where the name is another.
EXPORTERS = {
    "node": ("node", "node-systemd", "node-zfs"),
    **dict.fromkeys(("probe-ping", "probe-tcp", "probe-web", "probe-login", "probe-public", "probe-dns"), ("blackbox",)),
    "grafana": (),
}


def mentions(text: str, port: int) -> bool:
    return re.search(rf"(?<![\d.]){port}(?![\d.]\d|\d)", text) is not None


@cache
def exported(job: str) -> frozenset[str]:
    names: set[str] = set()
    for file in EXPORTERS.get(job, (job,)):
        lines = (HERE / "metrics" / f"{file}.txt").read_text().splitlines()
        names |= {line for line in lines if not line.startswith("#")}
    return frozenset(names)


@cache
def everything() -> frozenset[str]:
    """Every metric that somebody exports who is asked."""
    names = set(OWN).union(*(exported(job) for job in jobs()))
    if all(
        "--collector.systemd.enable-restarts-metrics" in text
        for text in (
            *(host_report(host).value["units"]["prometheus-node-exporter.service"] for host in SERVERS),
            (ROLE / "templates/prometheus-node-exporter.j2").read_text(),
        )
    ):
        names |= {"node_systemd_service_restart_total"}
    if "prometheus-node-exporter-collectors" in (ROLE / "tasks/main.yml").read_text():
        names |= lines_of("node-disks")
    # Asked where the inventory says so; its rules are the same everywhere.
    names |= lines_of("pve")
    names |= set(re.findall(r"\baether_\w+", (evaluate.ROOT / "nix/modules/backup-done.sh").read_text()))
    # The deployer leaves them on the monitoring host.
    names |= set(HELP)
    return frozenset(names)


def unknown(expression: str) -> set[str]:
    """Metrics of an expression that nobody exports."""
    known = everything()
    return {
        name
        for name in metrics(expression)
        if not (any(re.fullmatch(name[1:], other) for other in known) if name.startswith("~") else name in known)
    }


class TestScraping:
    def test_every_target_has_a_listener(self) -> None:
        """The port is written in a text of the machine that is asked: a unit, a configuration file, or the role of the nodes."""
        by_address = {host["address"]: name for name, host in FACTS["hosts"].items()} | {"127.0.0.1": "monitoring"}
        nodes = {node["address"] for node in FACTS["nodes"].values()}
        defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
        templates = "".join(file.read_text() for file in (ROLE / "templates").iterdir())
        served = {port for name, port in defaults.items() if name.endswith("_port") and f"{{{{ {name} }}}}" in templates}
        missing = []
        for job in prometheus()["scrape_configs"]:
            if job["job_name"].startswith("probe-"):
                continue
            for target in (target for group in job["static_configs"] for target in group["targets"]):
                address, _, port = target.rpartition(":")
                if address in nodes:
                    found = int(port) in served
                else:
                    found = mentions(texts(by_address[address]), int(port))
                if not found:
                    missing.append(f"{job['job_name']}: {target}")
        assert missing == []

    def test_every_collector_is_asked_how_it_fares(self) -> None:
        """One that cannot deliver says so in its own metrics alone."""
        asked = next(job for job in prometheus()["scrape_configs"] if job["job_name"] == "collector")
        hosts = {group["labels"]["host"] for group in asked["static_configs"]}
        assert hosts == {host for host in SERVERS if "opentelemetry-collector.service" in host_report(host).value["units"]}

    def test_what_a_host_offers_is_open_to_monitoring_and_asked(self) -> None:
        asked = {
            target for job in prometheus()["scrape_configs"] for group in job["static_configs"] for target in group["targets"]
        }
        for host in SERVERS:
            rule = ask(f"nixosConfigurations.{host}.config.aether.firewall.allow")["metrics"]
            assert rule["from"] == ["monitoring"]
            assert {f"{FACTS['hosts'][host]['address']}:{port}" for port in rule["tcp"]} <= asked, host

    def test_what_the_role_serves_is_asked_where_the_inventory_says_so(self) -> None:
        told = {f"{node['address']}:9221" for node in FACTS["nodes"].values() if node.get("pve_exporter")}
        asked = {t for job in prometheus()["scrape_configs"] for group in job["static_configs"] for t in group["targets"]}
        assert {target for target in asked if target.endswith(":9221")} == told


class TestAlerts:
    @pytest.mark.parametrize("alert", list(rules()), ids=lambda alert: alert["alert"])
    def test_its_metrics_are_exported(self, alert: dict[str, Any]) -> None:
        assert unknown(alert["expr"]) == set()

    def test_panels_show_metrics_that_are_exported(self) -> None:
        assert {title: names for title, text in panels("prometheus") if (names := unknown(text))} == {}

    def test_a_name_that_nobody_exports_is_found(self) -> None:
        assert unknown('rate(node_cpu_secnds_total{mode="idle"}[5m]) > 0 and on (host) up == 1') == {"node_cpu_secnds_total"}
        assert unknown('rate({__name__=~"otelcol_exporter_sent_(logs)"}[5m])') == {"~otelcol_exporter_sent_(logs)"}

    @pytest.mark.parametrize("alert", list(rules()), ids=lambda alert: alert["alert"])
    def test_it_does_not_ask_what_is_not_there_yet_to_be_zero(self, alert: dict[str, Any]) -> None:
        """Programs make a counter's series when they first count: till then nothing is compared with zero, and never fires."""
        assert not re.search(r"\b(rate|increase)\s*\([^()]*(\{[^}]*\})?[^()]*\)\s*\)?\s*==\s*0", alert["expr"])

    def test_every_program_that_is_asked_is_read_by_somebody(self) -> None:
        read = set().union(*(metrics(alert["expr"]) for alert in rules()), *(metrics(text) for _, text in panels("prometheus")))
        names = everything()
        patterns = [name[1:] for name in read if name.startswith("~")]
        read |= {name for name in names if any(re.fullmatch(pattern, name) for pattern in patterns)}
        # Grafana is watched by its probe and by `up`.
        assert {job for job in jobs() - {"grafana"} if not exported(job) & read} == set()

    def test_what_the_deployer_writes_is_what_prometheus_reads(self, checker: Callable[[str], str]) -> None:
        seen = HostStatus("web", "nixos-vm", None, "192.0.2.1", "running", answers=True, deployed_at=1, behind=True, backup=1)
        text = rendered([*of_runs("homelab", [Run("up", 1, 2.5, "failed")]), *of_fleet(Fleet("a", "b", 1, (seen,))), *of_pins()])
        done = subprocess.run([checker("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def test_every_alert_can_fire(self, checker: Callable[[str], str], tmp_path: Path) -> None:
        """Series as their exporters give them make each alert fire, and nothing at all makes none."""
        cases = yaml.safe_load((HERE / "closed_loop_alerts.yaml").read_text())
        assert {alert["alert"] for alert in rules()} == set(cases)
        for name, case in cases.items():
            assert all(unknown(series.partition("{")[0]) == set() for series in case["series"]), name
        names = [str(file) for file in sorted(RULES.glob("*.yaml")) if file.name != "logs.yaml"]

        def firing(name: str, minute: int, expected: bool) -> list[dict[str, Any]]:
            samples = [{"labels": f'{{alertname="{name}"}}', "value": 1}] if expected else []
            return [
                {
                    "expr": f'group by (alertname) (ALERTS{{alertname="{name}",alertstate="firing"}})',
                    "eval_time": f"{minute}m",
                    "exp_samples": samples,
                }
            ]

        tests = {
            name: {
                "name": name,
                "interval": "1m",
                "input_series": [{"series": series, "values": values} for series, values in case["series"].items()],
                "promql_expr_test": firing(name, case["at"], expected=True),
            }
            for name, case in cases.items()
        }
        silent = [entry for name in cases if name != "Watchdog" for entry in firing(name, 90, expected=False)]
        empty = {"name": "an empty fleet", "interval": "1m", "input_series": [], "promql_expr_test": silent}
        slow = {name for name, case in cases.items() if case["at"] > 100}
        runs = {
            # What takes hours is looked at now and then, or it takes minutes here too.
            "10m": [test for name, test in tests.items() if name in slow],
            "2m": [empty, *(test for name, test in tests.items() if name not in slow)],
        }
        for interval, part in runs.items():
            file = tmp_path / f"{interval}.json"
            file.write_text(json.dumps({"rule_files": names, "evaluation_interval": interval, "tests": part}))
            done = subprocess.run([checker("promtool"), "test", "rules", str(file)], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr


class TestProbes:
    @pytest.fixture
    def modules(self) -> dict[str, Any]:
        return dict(only("monitoring", "blackbox.json")["modules"])

    @pytest.mark.parametrize("service", sorted(FACTS["services"]))
    def test_a_probe_reaches_the_service_itself(self, service: str, modules: dict[str, Any]) -> None:
        """A login in front of it answers whether it lives or not: the probe is let past, and fails where it is not."""
        facts = FACTS["services"][service]
        path = facts.get("probe", "/")
        job = next(job for job in prometheus()["scrape_configs"] if job["job_name"] == "probe-web")
        (url,) = [group["targets"][0] for group in job["static_configs"] if group["labels"]["service"] == service]
        assert urlsplit(url).path == path
        (check,) = modules["web_internal"]["http"]["fail_if_header_matches"]
        pattern = re.compile(check["regexp"])
        assert check["header"] == "Location" and check["allow_missing"]
        assert pattern.search(f"{ISSUER}/protocol/openid-connect/auth?client_id=gateway")
        assert pattern.search("/oauth2/sign_in?rd=https://books.home.example.org/")
        assert not pattern.search("/login.html")
        if facts.get("login", "proxy") == "proxy":
            site = block(str(only("gateway", "Caddyfile")), urlsplit(url).hostname or "")
            let_past = re.search(r"@monitoring \{(.*?)\}\s*handle @monitoring \{", site, re.DOTALL)
            assert let_past, service
            assert FACTS["hosts"]["monitoring"]["address"] in let_past[1] and f"path {path}\n" in let_past[1]
            assert (
                f"{FACTS['hosts'][facts['host']]['address']}:{facts['port']}"
                in site[let_past.start() : site.index("forward_auth")]
            )

    def test_the_login_itself_is_asked(self, modules: dict[str, Any]) -> None:
        job = next(job for job in prometheus()["scrape_configs"] if job["job_name"] == "probe-login")
        behind = {name for name, facts in FACTS["services"].items() if facts.get("login", "proxy") == "proxy"}
        assert {group["labels"]["service"] for group in job["static_configs"]} == behind
        (check,) = modules["web_login"]["http"]["fail_if_header_not_matches"]
        assert re.search(check["regexp"], f"{ISSUER}/protocol/openid-connect/auth")


class TestPorts:
    @pytest.mark.parametrize("host", SERVERS)
    def test_what_is_open_to_the_gateway_is_a_service(self, host: str) -> None:
        ports = {facts["port"] for facts in FACTS["services"].values() if facts["host"] == host}
        allowed = ask(f"nixosConfigurations.{host}.config.aether.firewall.allow")
        opened = {port for rule in allowed.values() if "gateway" in rule["from"] for port in rule["tcp"]}
        assert opened == ports

    @pytest.mark.parametrize("host", SERVERS)
    def test_somebody_listens_at_every_open_port(self, host: str) -> None:
        text = texts(host)
        opened = host_report(host).value["openPorts"]
        # Defaults of SSH, DNS, the ACME client while it is asked, mDNS, Calibre-web, Jellyfin, Syncthing and Tailscale.
        defaults = {22, 53, 80, 443, 853, 5353, 8083, 8096, 22000, 41641}
        assert {port for port in {*opened["tcp"], *opened["udp"]} - defaults if not mentions(text, port)} == set()


@pytest.mark.parametrize("host", SERVERS)
def test_a_renewed_certificate_cuts_no_connection(host: str) -> None:
    """systemd restarts what it cannot reload, at every renewal: about once a day."""
    certificates = ask(
        f"nixosConfigurations.{host}.config.security.acme.certs",
        "builtins.mapAttrs (_: cert: { inherit (cert) domain reloadServices; })",
    )
    units = host_report(host).value["units"]
    for name, certificate in certificates.items():
        for unit in certificate["reloadServices"]:
            assert "ExecReload" in settings(units[unit]), f"{name}: {unit}"
