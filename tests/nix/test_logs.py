"""Labels of logs: those by which rules and panels select are sent by every host."""

import json
import re
from typing import Any

import pytest

from .monitoring import panels, rules
from .promql import log_labels
from .servers import FACTS, ROLE, SERVERS
from .workloads import derivations, generated


class TestLogs:
    @pytest.fixture
    def labels(self) -> set[str]:
        """Loki's index labels."""
        command = next(entry for entry in generated_commands("loki-config.json") if "schema_config" in entry)
        config = json.loads(command[command.index("{") : command.rindex("}") + 1])
        (entry,) = config["limits_config"]["otlp_config"]["resource_attributes"]["attributes_config"]
        return set(entry["attributes"])

    @pytest.fixture
    def collector(self) -> dict[str, Any]:
        return next(entry for entry in generated("monitoring")["config.yaml"] if "pipelines" in entry.get("service", {}))

    def test_the_labels_stand_on_the_resource(self, labels: set[str], collector: dict[str, Any]) -> None:
        """Loki indexes resource attributes alone: what a record carries has to be moved there."""
        assert labels == set(collector["processors"]["groupbyattrs/service"]["keys"])
        for name, pipeline in collector["service"]["pipelines"].items():
            if name.startswith("logs"):
                steps = pipeline["processors"]
                assert steps.index("transform/journal") < steps.index("groupbyattrs/service"), name

    def test_the_nodes_send_every_label(self, labels: set[str], collector: dict[str, Any]) -> None:
        """Alloy sends labels of Loki, on each record; the collector gives them their names."""
        alloy = (ROLE / "templates/config.alloy.j2").read_text()
        sent = set(re.findall(r'target_label\s*=\s*"(\w+)"', alloy))
        sent |= set(re.findall(r"(\w+) = \"", re.search(r"labels\s*=\s*\{(.*)\}", alloy)[1]))  # type: ignore[index]
        statements = " ".join(collector["processors"]["transform/journal"]["log_statements"])
        for label in labels:
            plain = label.replace(".", "_")
            assert plain in sent, label
            assert f'set(log.attributes["{label}"], log.attributes["{plain}"])' in statements, label
        assert {"unit", "priority"} <= sent

    @pytest.mark.parametrize("host", SERVERS)
    def test_hosts_send_every_label(self, host: str, labels: set[str]) -> None:
        config = next(entry for entry in generated(host)["config.yaml"] if "pipelines" in entry.get("service", {}))
        name = "resource/own" if host == "monitoring" else "resource"
        given = {entry["key"]: entry["value"] for entry in config["processors"][name]["attributes"]}
        assert given == {"host.name": host, "service.namespace": FACTS["site"]["name"]}
        # The journal says the rest.
        assert labels - set(given) == {"service.name"}

    def test_rules_and_panels_select_by_labels_that_exist(self, labels: set[str], collector: dict[str, Any]) -> None:
        statements = " ".join(collector["processors"]["transform/journal"]["log_statements"])
        made = set(re.findall(r'set\(log\.attributes\["([\w.]+)"\]', statements)) | {"severity_number"}
        asked = [alert["expr"] for alert in rules("logs.yaml")] + [text for _, text in panels("loki")]
        assert len(asked) > 5
        for text in asked:
            streams, filtered = log_labels(text)
            assert streams <= {label.replace(".", "_") for label in labels}, text
            assert filtered <= made, text


def generated_commands(name: str) -> list[str]:
    return [str(entry.get("buildCommand", "")) for entry in derivations("monitoring") if entry["name"] == name]
