"""Machines in the cloud have a way home: what they tell and what they keep goes through the public gateway's relays."""

from functools import cache
from typing import Any

from .conftest import ask

VPS = """c: {
  inherit (c.services.restic.backups.aether) repository extraOptions paths;
  otel = builtins.removeAttrs c.services.opentelemetry-collector.settings [ "processors" ];
  open = builtins.attrNames c.aether.firewall.allow;
}"""


@cache
def vps() -> dict[str, Any]:
    return dict(ask("nixosConfigurations.vps.config", VPS))


def test_its_backup_goes_through_the_relay_to_the_servers_own_key() -> None:
    assert vps()["repository"] == "sftp://restic@192.168.90.10:2222//srv/backup/vps"
    assert "-o HostKeyAlias=smith-storage" in vps()["extraOptions"][0]
    assert {"/srv/www", "/var/lib/private/ntfy-sh"} <= set(vps()["paths"])


def test_it_tells_logs_and_metrics_through_the_relay_to_the_collectors_own_certificate() -> None:
    found = vps()["otel"]
    exporter = found["exporters"]["otlp_grpc/monitoring"]
    assert exporter["endpoint"] == "https://192.168.90.10:4317"
    assert exporter["tls"]["server_name_override"] == "monitoring.home.example.org"
    assert found["service"]["pipelines"]["metrics/pushed"]["receivers"] == ["prometheus"]
    jobs = {job["job_name"]: job["static_configs"] for job in found["receivers"]["prometheus"]["config"]["scrape_configs"]}
    labels = {"host": "vps", "kind": "cloud-vm", "uptime": "always", "way": "pushed"}
    asked = {"node": "127.0.0.1:9100", "collector": "127.0.0.1:8888"}
    assert jobs == {name: [{"targets": [target], "labels": labels}] for name, target in asked.items()}
    # Nobody scrapes it, so nobody is let in.
    assert "metrics" not in vps()["open"]


def test_the_tunnels_end_at_home_leads_on_to_both() -> None:
    text = ask('nixosConfigurations.gateway.config.sops.templates."wireproxy.conf".content')
    for listen, target in {4317: "192.168.10.20:4317", 2222: "192.168.10.50:22"}.items():
        assert f"[TCPServerTunnel]\nListenPort = {listen}\nTarget = {target}\n" in text


def test_a_host_at_home_goes_there_directly() -> None:
    found = ask("nixosConfigurations.iot.config", "c: [ c.services.restic.backups.aether.repository c.aether.otel.endpoint ]")
    assert found == ["sftp:restic@192.168.10.50:/srv/backup/iot", "https://monitoring.home.example.org:4317"]
