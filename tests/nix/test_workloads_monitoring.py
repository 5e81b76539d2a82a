"""Host monitoring: what Prometheus, Alertmanager, Loki, Tempo, the collector and Grafana will read."""

import configparser
import json
import re
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from nix.tools import evaluate

from .conftest import ask, evaluated, replace
from .monitoring import collector
from .workloads import generated, only, settings

Checker = Callable[[str], str]
ROOT = evaluate.ROOT
RULES = ROOT / "nix" / "hosts" / "niobe" / "monitoring" / "rules"
HERE = Path(__file__).parent
INVENTORY: dict[str, Any] = tomllib.loads((ROOT / "inventory" / "homelab.toml").read_text())


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def metric_rules() -> list[Path]:
    """Rule files of Prometheus; logs.yaml is Loki's."""
    return sorted(file for file in RULES.glob("*.yaml") if file.name != "logs.yaml")


def targets(job: str) -> dict[str, dict[str, str]]:
    """Address to labels of everything that a job asks."""
    config = only("monitoring", "prometheus.yml")
    found = next(entry for entry in config["scrape_configs"] if entry["job_name"] == job)
    return {group["targets"][0]: group["labels"] for group in found["static_configs"]}


class TestRules:
    """Need neither Nix nor trees."""

    def test_promtool_accepts_them(self, checker: Checker) -> None:
        result = run(checker("promtool"), "check", "rules", *map(str, metric_rules()))
        assert result.returncode == 0, result.stdout + result.stderr

    def test_promtool_would_refuse_a_mistake(self, checker: Checker, tmp_path: Path) -> None:
        broken = tmp_path / "hosts.yaml"
        broken.write_text((RULES / "hosts.yaml").read_text().replace("== 0", "=== 0", 1))
        assert run(checker("promtool"), "check", "rules", str(broken)).returncode != 0

    def test_they_fire_when_they_should_and_only_then(self, checker: Checker) -> None:
        result = run(checker("promtool"), "test", "rules", *map(str, HERE.glob("test_workloads_alerts*.yaml")))
        assert result.returncode == 0, result.stdout + result.stderr

    def test_a_rule_that_no_longer_fires_is_found(self, checker: Checker, tmp_path: Path) -> None:
        cases = (HERE / "test_workloads_alerts.yaml").read_text()
        for file in metric_rules():
            cases = cases.replace(f"../../{file.relative_to(ROOT)}", str(tmp_path / file.name))
            (tmp_path / file.name).write_text(file.read_text().replace('state!="online"', 'state="faulted"'))
        (tmp_path / "cases.yaml").write_text(cases)
        result = run(checker("promtool"), "test", "rules", str(tmp_path / "cases.yaml"))
        assert result.returncode != 0
        assert "ZfsPoolNotOnline" in result.stdout + result.stderr

    def test_an_activation_taken_back_is_told_by_its_log(self) -> None:
        """The unit is the one that deployments arm (components/nixos/scripts/host.sh)."""
        script = (ROOT / "components" / "nixos" / "scripts" / "host.sh").read_text()
        unit = re.search(r"--unit=(\S+)", script)
        assert unit
        assert f'unit = "{unit[1]}.service"' in (RULES / "logs.yaml").read_text()


class TestPrometheus:
    def test_promtool_accepts_the_configuration(self, checker: Checker, tmp_path: Path) -> None:
        config = only("monitoring", "prometheus.yml")
        assert len(config["rule_files"]) == len(metric_rules())
        config = config | {"rule_files": [str(file) for file in metric_rules()]}
        (tmp_path / "prometheus.yml").write_text(json.dumps(config))
        result = run(checker("promtool"), "check", "config", str(tmp_path / "prometheus.yml"))
        assert result.returncode == 0, result.stdout + result.stderr

    def test_asks_the_node_exporter_of_every_watched_host_and_node(self) -> None:
        asked = targets("node")
        watched = ask("lib.hosts", "h: builtins.mapAttrs (name: _: (h.exports name).watched) h.nixos")
        for name, host in INVENTORY["hosts"].items():
            if host["kind"].startswith("nixos-"):
                assert (asked.get(f"{host['address']}:9100", {}).get("host") == name) == watched[name], name
        # People's machines come and go; servers at home are all asked.
        assert {name for name, is_watched in watched.items() if not is_watched} == {
            "bifrost",
            "cloud-workstation",
            "desktop",
            "laptop",
        }
        for name, node in INVENTORY["nodes"].items():
            assert asked[f"{node['address']}:9100"]["host"] == name

    def test_asks_nobody_in_the_cloud(self) -> None:
        """Home does not reach the machines there: they tell their metrics themselves."""
        jobs = only("monitoring", "prometheus.yml")["scrape_configs"]
        asked = [entry["labels"].get("host") for job in jobs for entry in job["static_configs"]]
        assert "vps" not in asked and "monitoring" in asked

    def test_asks_what_other_hosts_say_they_offer(self) -> None:
        gateway = INVENTORY["hosts"]["gateway"]["address"]
        assert any(address.startswith(gateway) for address in targets("caddy"))

    def test_pings_everything_with_an_address(self) -> None:
        pinged = targets("probe-ping")
        assert set(pinged) == {facts["address"] for kind in ("hosts", "nodes") for facts in INVENTORY[kind].values()}
        assert pinged[INVENTORY["hosts"]["laptop"]["address"]]["uptime"] == "sometimes"
        assert pinged[INVENTORY["hosts"]["keycloak"]["address"]]["uptime"] == "always"

    def test_probes_every_web_service_through_the_gateway(self) -> None:
        inside = {labels["service"] for labels in targets("probe-web").values()}
        outside = {labels["service"] for labels in targets("probe-public").values()}
        assert inside == set(INVENTORY["services"])
        assert outside == {name for name, service in INVENTORY["services"].items() if service.get("public")}
        assert all(url.startswith("https://") for url in [*targets("probe-web"), *targets("probe-public")])

    def test_probe_modules_exist(self, checker: Checker, tmp_path: Path) -> None:
        modules = only("monitoring", "blackbox.json")["modules"]
        used = {
            module
            for job in only("monitoring", "prometheus.yml")["scrape_configs"]
            for module in job.get("params", {}).get("module", [])
        }
        assert used == set(modules)
        for module in modules.values():
            # The file is in the Nix store; the checker wants to read it.
            module.get("http", {}).pop("tls_config", None)
        (tmp_path / "blackbox.json").write_text(json.dumps({"modules": modules}))
        result = run(checker("blackbox_exporter"), "--config.check", f"--config.file={tmp_path / 'blackbox.json'}")
        assert result.returncode == 0, result.stderr


class TestAlertmanager:
    @pytest.fixture
    def config(self, tmp_path: Path) -> Path:
        file = tmp_path / "alertmanager.yml"
        file.write_text(only("monitoring", "alertmanager.yml"))
        return file

    def test_amtool_accepts_it(self, checker: Checker, config: Path) -> None:
        result = run(checker("amtool"), "check-config", str(config))
        assert result.returncode == 0, result.stdout + result.stderr

    @pytest.mark.parametrize(
        ("alert", "receivers"),
        [
            (["alertname=HostDown", "severity=critical"], "chat,mail"),
            (["alertname=DiskFull", "severity=warning"], "mail"),
            (["alertname=Watchdog", "severity=none"], "none"),
        ],
    )
    def test_tells_the_right_people(self, checker: Checker, config: Path, alert: list[str], receivers: str) -> None:
        result = run(checker("amtool"), "config", "routes", "test", f"--config.file={config}", *alert)
        assert result.stdout.strip() == receivers, result.stderr

    def test_holds_no_secret_itself(self, config: Path) -> None:
        text = config.read_text()
        unit = settings(only("monitoring", "unit-alertmanager.service"))
        files = re.findall(r"/run/credentials/alertmanager.service/([a-z-]+)", text)
        assert sorted(files) == ["chat-webhook-url", "smtp-password"]
        assert {entry.partition(":")[0] for entry in unit["LoadCredential"]} == set(files)
        assert not re.search(r'"(smtp_auth_password|api_url|password)":', text)


class TestStores:
    def test_loki_forgets_after_thirty_days_and_labels_by_host(self) -> None:
        command = next(text for text in generated_commands("monitoring", "loki-config.json") if "schema_config" in text)
        config = json.loads(command[command.index("{") : command.rindex("}") + 1])
        assert config["limits_config"]["retention_period"] == "720h"
        assert config["compactor"]["retention_enabled"] and config["compactor"]["delete_request_store"] == "filesystem"
        (labels,) = config["limits_config"]["otlp_config"]["resource_attributes"]["attributes_config"]
        # The labels that rules and dashboards select by.
        assert {"host.name", "service.name", "service.namespace"} == set(labels["attributes"])
        assert config["ruler"]["alertmanager_url"] == "http://127.0.0.1:9093"

    def test_tempo_accepts_its_configuration(self, checker: Checker, tmp_path: Path) -> None:
        config = next(entry for entry in generated("monitoring")["config.yaml"] if "distributor" in entry)
        (tmp_path / "tempo.yaml").write_text(json.dumps(config))
        result = run(checker("tempo"), f"-config.file={tmp_path / 'tempo.yaml'}", "-config.verify=true")
        assert result.returncode == 0, result.stderr

    def test_everything_is_kept_on_the_second_disk(self) -> None:
        tempo = next(entry for entry in generated("monitoring")["config.yaml"] if "distributor" in entry)
        assert tempo["storage"]["trace"]["local"]["path"].startswith("/var/lib/")
        fstab = only("monitoring", "etc-fstab")
        (line,) = [line for line in fstab.splitlines() if " /var/lib " in line]
        # Mounted in the initrd: activation writes to /var/lib/nixos before local file systems are there.
        assert "x-initrd.mount" in line

    def test_without_a_data_disk_the_evaluation_says_what_to_write(self, copy: Path) -> None:
        replace(copy / "inventory" / "homelab.toml", 'mount = "/var/lib"', 'mount = "/srv"')
        with pytest.raises(evaluate.NixError, match="needs a data disk at /var/lib"):
            evaluated(copy, "nixosConfigurations.monitoring.config.system.build.toplevel.drvPath")


class TestCollector:
    @pytest.fixture
    def config(self) -> dict[str, Any]:
        return collector("monitoring")

    def test_every_part_of_a_pipeline_is_defined(self, config: dict[str, Any]) -> None:
        for name, pipeline in config["service"]["pipelines"].items():
            for kind in ("receivers", "processors", "exporters"):
                assert set(pipeline[kind]) <= set(config[kind]), f"{name}: {kind}"

    @pytest.mark.parametrize("host", ["monitoring", "cockpit", "openbao", "vps"])
    def test_the_collector_accepts_it(self, host: str, checker: Checker, tmp_path: Path) -> None:
        result = validate(checker("otelcol"), collector(host), tmp_path)
        assert result.returncode == 0, result.stdout + result.stderr

    @pytest.mark.parametrize("host", ["monitoring", "cockpit"])
    def test_calls_every_part_by_its_own_name(self, host: str, checker: Checker) -> None:
        """Names of before (`otlp` for the exporter otlp_grpc) still work, warn at every start, and will go."""
        listed = yaml.safe_load(run(checker("otelcol"), "components").stdout)
        for kind in ("receivers", "processors", "exporters", "extensions"):
            used = {name.partition("/")[0] for name in collector(host).get(kind, {})}
            assert used <= {part["name"] for part in listed[kind]}, kind

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('"limit_mib"', '"limit_mb"'),
            ("IsMap(log.body)", "IsMapp(log.body)"),
            ('"exporters": ["otlp_http/loki"]', '"exporters": ["otlp_http/loky"]'),
        ],
    )
    def test_the_collector_refuses_a_mistake(self, old: str, new: str, checker: Checker, tmp_path: Path) -> None:
        text = json.dumps(collector("monitoring"))
        assert old in text
        assert validate(checker("otelcol"), json.loads(text.replace(old, new)), tmp_path).returncode != 0

    def test_takes_from_others_by_tls_alone(self, config: dict[str, Any]) -> None:
        protocols = config["receivers"]["otlp"]["protocols"]
        assert protocols["grpc"]["endpoint"] == "0.0.0.0:4317"
        assert protocols["grpc"]["tls"]["cert_file"].startswith("/var/lib/acme/")
        assert protocols["http"]["endpoint"].startswith("127.0.0.1:")

    def test_does_not_send_to_itself(self, config: dict[str, Any]) -> None:
        assert "monitoring.home" not in json.dumps(config["exporters"])

    def test_other_hosts_send_where_it_listens(self) -> None:
        assert collector("cockpit")["exporters"]["otlp_grpc/monitoring"]["endpoint"] == "https://monitoring.home.example.org:4317"


class TestGrafana:
    @pytest.fixture
    def ini(self) -> configparser.RawConfigParser:
        parser = configparser.RawConfigParser()
        parser.read_string(only("monitoring", "config.ini"))
        return parser

    def dashboards(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for name, contents in generated("monitoring").items():
            if name.startswith("etc-grafana-dashboards-"):
                yield name, json.loads(contents[0])

    def test_logs_in_at_keycloak(self, ini: configparser.RawConfigParser) -> None:
        oauth = ini["auth.generic_oauth"]
        assert oauth["enabled"] == "true"
        assert oauth["auth_url"] == "https://auth.example.org/realms/homelab/protocol/openid-connect/auth"
        # Nobody gets in by merely having an account.
        assert oauth["role_attribute_strict"] == "true"

    def test_reads_every_secret_from_a_file(self, ini: configparser.RawConfigParser) -> None:
        for section, key in (
            ("auth.generic_oauth", "client_secret"),
            ("security", "secret_key"),
            ("security", "admin_password"),
        ):
            assert re.fullmatch(r"\$__file\{/run/secrets/[a-z-]+\}", ini[section][key]), key

    def test_panels_ask_sources_that_exist(self) -> None:
        sources = {source["uid"] for source in only("monitoring", "datasource.yaml")["datasources"]}
        shown = dict(self.dashboards())
        sources_of = {file.stem for file in (ROOT / "nix/hosts/niobe/monitoring/dashboards").glob("*.nix")} - {"default", "lib"}
        assert {name.removeprefix("etc-grafana-dashboards-").removesuffix(".json") for name in shown} == sources_of
        for name, dashboard in shown.items():
            for panel in dashboard["panels"]:
                assert panel["targets"], f"{name}: {panel['title']}"
                assert {target["datasource"]["uid"] for target in panel["targets"]} <= sources
            assert {variable["datasource"]["uid"] for variable in dashboard["templating"]["list"]} <= sources

    def test_panels_do_not_overlap(self) -> None:
        for name, dashboard in self.dashboards():
            for one, other in combinations((panel["gridPos"] for panel in dashboard["panels"]), 2):
                apart = (
                    one["x"] + one["w"] <= other["x"]
                    or other["x"] + other["w"] <= one["x"]
                    or one["y"] + one["h"] <= other["y"]
                    or other["y"] + other["h"] <= one["y"]
                )
                assert apart, f"{name}: {one} {other}"

    def test_promtool_understands_every_query(self, checker: Checker, tmp_path: Path) -> None:
        rules = [
            {"record": f"panel:{index}", "expr": target["expr"].replace("$host", ".*")}
            for index, target in enumerate(
                target
                for _, dashboard in self.dashboards()
                for panel in dashboard["panels"]
                for target in panel["targets"]
                if target["datasource"]["type"] == "prometheus"
            )
        ]
        assert len(rules) > 25
        (tmp_path / "rules.json").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
        result = run(checker("promtool"), "check", "rules", str(tmp_path / "rules.json"))
        assert result.returncode == 0, result.stdout + result.stderr


def validate(program: str, config: dict[str, Any], directory: Path) -> subprocess.CompletedProcess[str]:
    """The collector's own check; files that only a running host has become ones that are here."""
    text = json.dumps(config)
    for path in re.findall(r'"(?:/var/lib/acme/|/[^"]*root_ca)[^"]*"', text):
        text = text.replace(path, json.dumps(str(ROOT / "nix" / "pki" / "root_ca.crt")))
    file = directory / "collector.json"
    file.write_text(text)
    return run(program, "validate", f"--config={file}")


def generated_commands(host: str, name: str) -> list[str]:
    """Build commands of derivations of that name: for texts that are written by a command, not as an attribute."""
    from .workloads import derivations

    return [str(entry.get("buildCommand", "")) for entry in derivations(host) if entry["name"] == name]
