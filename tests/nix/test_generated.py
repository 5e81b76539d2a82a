"""The texts that hosts generate, read by the programs that will read them: not the options, the text."""

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nix.tools import evaluate

from .caddyfile import site
from .conftest import ask, nixos_hosts
from .workloads import only

HOSTS = nixos_hosts()
Report = Callable[[str], dict[str, Any]]
Checker = Callable[[str], str]

# What systemd-analyze says of text that it cannot read, as against files that only a built host has.
MALFORMED = re.compile(r"Unknown (key|section|lvalue)|Failed to parse|Invalid|Missing '='|bad unit file", re.IGNORECASE)


def check(*command: str, **environment: str) -> None:
    """Runs a checker; its own words are the failure."""
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env={**os.environ, **environment})
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("host", HOSTS)
def test_firewall_rules(host: str, report: Report, checker: Checker, tmp_path: Path) -> None:
    rules = report(host)["nftables"]
    if not rules:
        pytest.skip(f"{host} has no nftables tables")
    if os.geteuid() != 0:
        pytest.skip("nft -c needs root, to ask the kernel")
    file = tmp_path / "rules.nft"
    file.write_text(rules)
    check(checker("nft"), "-c", "-f", str(file))


def malformed(verify: str, directory: Path, units: dict[str, str]) -> list[str]:
    """Lines in which systemd says that it cannot read these units."""
    for name, text in units.items():
        (directory / name).write_text(text)
    result = subprocess.run(
        [verify, "verify", "--man=no", "--generators=no", "--recursive-errors=no", *(directory / name for name in units)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{directory}:"},
    )
    return [line for line in result.stderr.splitlines() if MALFORMED.search(line) and str(directory) in line]


@pytest.mark.parametrize("host", HOSTS)
def test_units(host: str, report: Report, checker: Checker, tmp_path: Path) -> None:
    """systemd reads every unit without meeting a word that it does not know."""
    kinds = (".service", ".timer", ".socket", ".path", ".mount")
    units = {
        name: text
        for name, text in report(host)["units"].items()
        if name.endswith(kinds) and "@" not in name and "\\" not in name
    }
    assert len(units) > 20
    assert malformed(checker("systemd-analyze"), tmp_path, units) == []


def test_hosts_with_containers_are_tried(report: Report) -> None:
    assert [host for host in HOSTS if report(host)["quadlets"]] == ["dev"]


@pytest.mark.parametrize("line", ["Restrat=always", "Type=onceshot", "TimeoutStartSec=soon"])
def test_a_unit_with_a_mistake_is_found(line: str, checker: Checker, tmp_path: Path) -> None:
    units = {"wrong.service": f"[Service]\nExecStart=/bin/true\n{line}\n"}
    assert len(malformed(checker("systemd-analyze"), tmp_path, units)) == 1


@pytest.mark.parametrize("host", ["dev"])
def test_quadlets(host: str, report: Report, checker: Checker, tmp_path: Path) -> None:
    """Podman's own generator makes a service of every container, network, volume and pod, without a warning."""
    found = report(host)
    for name in found["quadlets"]:
        (tmp_path / Path(name).name).write_text(found["etc"][name])
    result = subprocess.run(
        [checker("quadlet"), "-dryrun", "-v"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "QUADLET_UNIT_DIRS": str(tmp_path)},
    )
    assert result.returncode == 0, result.stderr
    assert "converting" not in result.stderr.lower() and "not supported" not in result.stderr, result.stderr
    assert result.stdout.count("---") >= len(found["quadlets"])


class TestGateway:
    @pytest.fixture
    def caddyfile(self) -> str:
        return str(only("gateway", "Caddyfile"))

    def test_caddy_accepts_it(self, caddyfile: str, checker: Checker, tmp_path: Path) -> None:
        program = checker("caddy")
        listed = subprocess.run([program, "list-modules"], capture_output=True, text=True, check=True).stdout
        if "http.handlers.tracing" not in listed:
            # Debian builds it without OpenTelemetry.
            caddyfile = re.sub(r"tracing \{[^}]*\}", "", caddyfile)
        caddyfile = re.sub(r"/nix/store/\S*root_ca\.crt", f'"{evaluate.ROOT / "nix/pki/root_ca.crt"}"', caddyfile)
        file = tmp_path / "Caddyfile"
        file.write_text(caddyfile)
        check(program, "validate", "--adapter", "caddyfile", "--config", str(file), HOME=str(tmp_path))

    def test_every_web_service_has_its_site(self, caddyfile: str) -> None:
        inventory = tomllib.loads((evaluate.ROOT / "inventory" / "homelab.toml").read_text())
        site = inventory["site"]
        for name, service in inventory["services"].items():
            subdomain = service.get("subdomain", name)
            assert re.search(rf"^\s*{subdomain}\.{re.escape(site['domain'])}\s", caddyfile, re.MULTILINE), name
            public = re.search(rf"^\s*{subdomain}\.{re.escape(site['public_domain'])}\s", caddyfile, re.MULTILINE)
            assert bool(public) == service.get("public", False), name

    def test_services_without_login_ask_keycloak_first(self, caddyfile: str) -> None:
        assert "forward_auth" in site(caddyfile, "prometheus.home.example.org")
        assert "forward_auth" not in site(caddyfile, "grafana.home.example.org")

    def test_haproxy_accepts_it(self, checker: Checker, tmp_path: Path) -> None:
        text = str(only("gateway", "haproxy.conf"))
        file = tmp_path / "haproxy.cfg"
        file.write_text(text)
        check(checker("haproxy"), "-c", "-f", str(file))
        assert "192.168.30.11:6443" in text

    def test_the_tunnel_reaches_public_names_only(self) -> None:
        text = str(only("gateway", "haproxy.conf"))
        names = re.search(r"acl public_name req\.ssl_sni -i (.*)", text)
        assert names and "auth.example.org" in names[1].split()
        assert not any(name.endswith(".home.example.org") for name in names[1].split())
        reject, accept = text.index("reject if { req.ssl_hello_type 1 } from_tunnel"), text.index("content accept")
        assert reject < accept

    def test_the_tailnet_approves_the_routes(self) -> None:
        acl = json.loads((evaluate.ROOT / "nix/hosts/oracle/gateway/tailscale-acl.json").read_text())
        routes = ask("nixosConfigurations.gateway.config.aether.tailscale.routes")
        assert set(acl["autoApprovers"]["routes"]) == set(routes)
