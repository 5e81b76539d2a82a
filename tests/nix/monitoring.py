"""What Prometheus scrapes, what dashboards and alerts ask, and what the collector sends."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from nix.tools import evaluate

from .workloads import generated, only

HERE = Path(__file__).parent
RULES = evaluate.ROOT / "nix/hosts/niobe/monitoring/rules"


def prometheus() -> dict[str, Any]:
    return dict(only("monitoring", "prometheus.yml"))


def rules(*names: str) -> Iterator[dict[str, Any]]:
    """Alerts of rule files; of all but Loki's without a name."""
    for file in sorted(RULES.glob("*.yaml")):
        if file.name in names if names else file.name != "logs.yaml":
            for group in yaml.safe_load(file.read_text())["groups"]:
                yield from group["rules"]


def panels(kind: str) -> Iterator[tuple[str, str]]:
    """Title and expression of every query of the dashboards at Prometheus or Loki."""
    for name, contents in generated("monitoring").items():
        if name.startswith("etc-grafana-dashboards-"):
            for panel in json.loads(contents[0])["panels"]:
                for target in panel["targets"]:
                    if target["datasource"]["type"] == kind:
                        yield f"{name}: {panel['title']}", target["expr"]


def jobs() -> set[str]:
    return {job["job_name"] for job in prometheus()["scrape_configs"]}


def lines_of(file: str) -> set[str]:
    return {line for line in (HERE / "metrics" / f"{file}.txt").read_text().splitlines() if not line.startswith("#")}


def collector(host: str) -> dict[str, Any]:
    """Configuration of the host's OpenTelemetry collector."""
    return next(entry for entry in generated(host)["config.yaml"] if "pipelines" in entry.get("service", {}))
