"""What the deployer tells Prometheus: deployments and how they ended, hosts, pins; and how it gets to the host that watches."""

import os
import re
from pathlib import Path

import pytest

from ops import metrics, runs
from ops.metrics import HELP, of_fleet, of_pins, of_runs, rendered
from ops.runs import Run, recorded
from ops.stack import OpsError, Stack
from ops.status.facts import Fleet, HostStatus

FLEET = Fleet(
    "homelab", "homelab", 1000,
    (
        HostStatus(
            "web", "nixos-vm", "pve1", "192.0.2.1", "running", answers=True, deployed_at=900, drift="runs another", behind=True,
            unhealthy=("tcp 80",), backup=500, certificate=800, restored=0,
            ordered=850,
        ),
        HostStatus("road", "nixos-metal", None, "192.0.2.4", "pending", pending=700),
        HostStatus("files", "ansible", None, "192.0.2.2", "does not answer", answers=False),
        HostStatus("talos", "external", None, "192.0.2.3", "not managed", managed=False),
    ),
)  # fmt: skip


def values(text: str) -> dict[str, float]:
    """Series of the text format, which has nothing else in it."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            match = re.fullmatch(r'([a-z_]+\{(?:[a-z]+="(?:[^"\\]|\\.)*",?)*\}) (\S+)', line)
            assert match, line
            found[match[1]] = float(match[2])
    return found


def test_every_metric_is_told_with_its_type_and_stands_together() -> None:
    ended = [Run("up", 100, 12.5, "failed", 'a "quote"'), Run("up", 200, 60.0, "succeeded"), Run("up", 300, 3.0, "interrupted")]
    text = rendered([*of_runs("homelab", ended), *of_fleet(FLEET), *of_pins()])
    told = values(text)
    assert told['aether_deploys_total{stack="homelab",result="failed"}'] == 1
    assert told['aether_deploy_last_timestamp_seconds{stack="homelab",result="succeeded"}'] == 200
    assert (told['aether_deploy_seconds{stack="homelab"}'], told['aether_deploy_succeeded{stack="homelab"}']) == (3, 0)
    web = '{stack="homelab",machine="web"}'
    assert [told[f"aether_machine_{name}{web}"] for name in ("answers", "drifted", "behind", "unhealthy")] == [1, 1, 1, 1]
    assert told[f"aether_machine_backup_timestamp_seconds{web}"] == 500
    assert told[f"aether_machine_restore_timestamp_seconds{web}"] == 0, "never, which an alert is about"
    assert told['aether_machine_answers{stack="homelab",machine="files"}'] == 0
    assert told['aether_machine_pending_timestamp_seconds{stack="homelab",machine="road"}'] == 700
    assert [series for series in told if "road" in series] == [
        'aether_machine_pending_timestamp_seconds{stack="homelab",machine="road"}'
    ]
    assert told[f"aether_machine_order_timestamp_seconds{web}"] == 850
    assert not [series for series in told if "talos" in series], "nobody asked it"
    assert told['aether_pin_timestamp_seconds{pin="nixpkgs"}'] > 1_700_000_000
    assert {series.partition("{")[0] for series in told} == set(HELP), "each metric is declared, and each declared one is told"
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names))


def test_what_names_hold_is_escaped() -> None:
    text = rendered([("aether_pin_timestamp_seconds", {"pin": 'a"b\\c\nd'}, 1)])
    assert 'pin="a\\"b\\\\c\\nd"' in text and values(text)


def test_how_a_deployment_ended_is_kept_and_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    monkeypatch.setattr(runs, "AETHER", tmp_path)
    monkeypatch.setattr(runs, "KEPT", 3)
    monkeypatch.setattr("ops.notify.tell", lambda stack, event, title, body: told.append((event, body)))
    stack = Stack("homelab")
    with recorded(stack, "up"):
        pass
    with pytest.raises(OpsError), recorded(stack, "up"):
        raise OpsError("web does not answer")
    with pytest.raises(KeyboardInterrupt), recorded(stack, "up"):
        raise KeyboardInterrupt
    assert [(run.result, run.why) for run in runs.runs("homelab")] == [
        ("succeeded", ""), ("failed", "web does not answer"), ("interrupted", ""),
    ]  # fmt: skip
    assert [event for event, _ in told] == ["deploy", "failed", "failed"] and told[1][1] == "web does not answer"
    path = runs.path_of("homelab")
    path.write_text(path.read_text() + '{"command": "up", "at"')
    with recorded(stack, "up"):
        pass
    assert [run.result for run in runs.runs("homelab")] == ["failed", "interrupted", "succeeded"], (
        "the oldest goes, as does a half line"
    )


def test_it_is_left_on_the_host_in_one_step(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By an ssh that runs the command here."""
    program = tmp_path / "bin/ssh"
    program.parent.mkdir()
    program.write_text('#!/bin/bash\necho "$5" >>"$LOG"\nexec bash -c "${@: -1}"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    monkeypatch.setattr(metrics, "FOLDER", str(tmp_path / "text files"))
    monkeypatch.setattr(metrics, "look", lambda *_: FLEET)
    monkeypatch.setattr(metrics, "deployed", lambda _: set())
    with pytest.raises(OpsError, match=r"monitoring did not take the metrics: .*No such file"):
        metrics.metrics(Stack("homelab"), ["--push"])
    (tmp_path / "text files").mkdir()
    assert metrics.metrics(Stack("homelab"), ["--push"]) == 0
    (file,) = (tmp_path / "text files").iterdir()
    assert (file.name, file.stat().st_mode & 0o777) == ("aether-homelab.prom", 0o644)
    assert values(file.read_text())['aether_machine_drifted{stack="homelab",machine="web"}'] == 1
    assert metrics.metrics(Stack("homelab"), ["--write", str(tmp_path / "a/b.prom")]) == 0
    assert values((tmp_path / "a/b.prom").read_text()) == values(file.read_text())
    with pytest.raises(OpsError, match="'nobody' is no host"):
        metrics.metrics(Stack("homelab"), ["--push", "nobody"])
