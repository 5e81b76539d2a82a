"""DNS, certificates, identity and secrets: what their generated configuration says, and what it must never say."""

import json
import re
import subprocess
from collections.abc import Callable
from copy import deepcopy
from functools import cache, reduce
from operator import getitem
from pathlib import Path
from typing import Any, cast

import pytest

from inventory.models import DEPLOY_USER
from inventory.overlay import document
from nix.tools import evaluate

from .conftest import ROOT, ask, evaluated, replace

PLACEHOLDER = re.compile(r"^<SOPS:[0-9a-f]{64}:PLACEHOLDER>$")


@cache
def value(host: str, path: str) -> Any:
    """``config.PATH`` of a host."""
    return ask(f"nixosConfigurations.{host}.config.{path}")


@cache
def realm() -> dict[str, Any]:
    return dict(json.loads(value("keycloak", 'sops.templates."homelab-realm.json".content')))


def by_name(items: list[dict[str, Any]], key: str) -> dict[str, dict[str, Any]]:
    return {item[key]: item for item in items}


class TestAdguard:
    def test_every_machine_and_service_has_its_name(self) -> None:
        settings = value("adguard", "services.adguardhome.settings")
        rewrites = settings["filtering"]["rewrites"]
        answers = {entry["domain"]: entry["answer"] for entry in rewrites}
        assert len(answers) == len(rewrites), "a name has two answers"
        # Without it AdGuard takes a rewrite for switched off.
        assert all(entry["enabled"] for entry in rewrites)
        library = f"(import {evaluate.path_literal(ROOT / 'nix/lib')} {{ root = {evaluate.path_literal(ROOT)}; }}).inventory"
        facts = evaluate.run(
            ["eval", "--impure", "--json", "--expr", f"let i = {library}; in {{ inherit (i) hosts nodes services; }}"],
            json_output=True,
        ).value
        for name, machine in {**facts["hosts"], **facts["nodes"]}.items():
            assert machine["address"] in {answers.get(f"{name}.home.example.org"), answers.get(f"{name}.cloud.example.org")}
        gateway = facts["hosts"]["gateway"]["address"]
        for service in facts["services"].values():
            assert answers[service["fqdn"]] == gateway
            assert not service["public"] or answers[service["publicFqdn"]] == gateway

    def test_asks_outside_only_encrypted(self) -> None:
        dns = value("adguard", "services.adguardhome.settings")["dns"]
        outside = [server for server in dns["upstream_dns"] if not server.startswith("[/")]
        assert outside
        assert all(server.startswith(("https://", "tls://")) for server in outside + dns["fallback_dns"])

    def test_nothing_is_kept_by_hand(self) -> None:
        assert value("adguard", "services.adguardhome.mutableSettings") is False
        assert value("adguard", "services.adguardhome.settings")["dhcp"]["enabled"] is False

    def test_only_the_gateway_reaches_the_page(self) -> None:
        assert value("adguard", "aether.firewall.allow.web-adguard.from") == ["gateway"]

    def test_adguard_takes_the_file(self, checker: Callable[[str], str], tmp_path: Path) -> None:
        settings = value("adguard", "services.adguardhome.settings")
        (tmp_path / "AdGuardHome.yaml").write_text(json.dumps({**settings, "http": {"address": "127.0.0.1:3000"}}))
        program = checker("AdGuardHome")
        command = [program, "--check-config", "-c", str(tmp_path / "AdGuardHome.yaml"), "-w", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0 and "[fatal]" not in done.stdout + done.stderr, done.stdout + done.stderr

    def test_a_name_with_two_answers_is_an_error(self, copy: Path) -> None:
        replace(copy / "inventory/homelab.toml", 'host = "adguard"\nsubdomain = "dns"\n', 'host = "adguard"\n')
        with pytest.raises(evaluate.NixError, match=r"(?s)adguard\.home\.example\.org is the name of a host.*subdomain ="):
            evaluated(copy, "nixosConfigurations.adguard.config.system.build.toplevel.drvPath")


class TestStepCa:
    def test_policy_keeps_to_the_sites_domain(self) -> None:
        policy = value("step-ca", "services.step-ca.settings")["authority"]["policy"]
        public = {
            f"{facts.get('subdomain', name)}.example.org"
            for name, facts in document(ROOT / "inventory/homelab.toml")["services"].items()
            if facts.get("public")
        }
        inside = ["home.example.org", "*.home.example.org"]
        # Public names too: Caddy has them here until the world's authority answers.
        assert set(policy["x509"]["allow"]["dns"]) == {*inside, *public}
        assert policy["ssh"]["host"]["allow"] == {"dns": ["*.home.example.org"]}
        assert "root" in policy["ssh"]["user"]["deny"]["principal"]

    def test_keys_come_from_secrets(self) -> None:
        settings = value("step-ca", "services.step-ca.settings")
        for key in (settings["key"], *settings["ssh"].values()):
            assert key.startswith("/run/secrets/")

    @pytest.mark.parametrize("host", ["gateway", "dev"])
    def test_hosts_take_the_certificates_that_it_gives_to_people(self, host: str) -> None:
        trusted = Path(value(host, "services.openssh.settings.TrustedUserCAKeys"))
        # A golden text says the file's name alone.
        assert trusted.name.partition("-")[2] == "ssh_user_ca.pub"
        if trusted.exists():
            assert trusted.read_text() == (ROOT / "nix/pki/ssh_user_ca.pub").read_text()
        # A certificate opens the account of its name: the CA's policy allows the operator's, and the one that deploys.
        allowed = value("step-ca", "services.step-ca.settings")["authority"]["policy"]["ssh"]["user"]["allow"]["principal"]
        operator, deploy = allowed
        assert deploy == DEPLOY_USER
        assert value(host, f"users.users.{operator}.isNormalUser") is True
        assert value(host, "services.openssh.settings.PermitRootLogin") == "prohibit-password"

    def test_hosts_find_the_provisioner_they_ask(self) -> None:
        provisioners = by_name(value("step-ca", "services.step-ca.settings")["authority"]["provisioners"], "name")
        directory = value("step-ca", "aether.certificates.directory")
        assert directory.endswith("/acme/acme/directory")
        assert provisioners["acme"]["type"] == "ACME"
        assert provisioners["keycloak"]["clientID"] in by_name(realm()["clients"], "clientId")
        assert provisioners["keycloak"]["groups"] == ["admins", "deployers"]


class TestKeycloak:
    def test_every_declared_client_is_in_the_realm(self) -> None:
        clients = by_name(realm()["clients"], "clientId")
        for host in ("gateway", "monitoring", "openbao", "step-ca"):
            declared = value(host, "aether.web.clients")
            assert declared
            for name, client in declared.items():
                assert clients[name]["redirectUris"] == client["redirects"]
        for client in clients.values():
            assert not client["directAccessGrantsEnabled"] and not client["implicitFlowEnabled"]

    def test_keycloak_knows_every_field(self, checker: Callable[[str], str], tmp_path: Path) -> None:
        file = tmp_path / "realm.json"
        file.write_text(json.dumps(realm()))
        done = subprocess.run([checker("keycloak-realm"), file], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    @pytest.mark.parametrize(
        ("part", "field", "wrong"),
        [
            ((), "sslRequire", "all"),
            (("clients", 0), "redirectUris", "https://one.home.example.org"),
            (("clientScopes", 0), "protocol_", "openid-connect"),
            (("authenticationFlows", 0, "authenticationExecutions", 0), "requirment", "REQUIRED"),
            (("users", 0, "credentials", 0), "temporary", "yes"),
        ],
    )
    def test_a_field_that_keycloak_does_not_know_is_found(
        self, part: tuple[str | int, ...], field: str, wrong: str, checker: Callable[[str], str], tmp_path: Path
    ) -> None:
        broken = deepcopy(realm())
        reduce(getitem, part, cast("Any", broken))[field] = wrong
        file = tmp_path / "realm.json"
        file.write_text(json.dumps(broken))
        done = subprocess.run([checker("keycloak-realm"), file], capture_output=True, text=True, check=False)
        assert done.returncode != 0 and (field in done.stdout or "is not assignable" in done.stdout), done.stdout

    def test_secrets_are_placeholders(self) -> None:
        for client in realm()["clients"]:
            if client["publicClient"]:
                assert "secret" not in client and client["attributes"]["pkce.code.challenge.method"] == "S256"
            else:
                assert PLACEHOLDER.match(client["secret"])
        (operator,) = realm()["users"]
        (password,) = operator["credentials"]
        assert PLACEHOLDER.match(password["value"]) and password["temporary"]
        # The label that tells keycloak-config-cli to leave a changed password alone.
        assert password["userLabel"] == "initial"

    def test_no_login_without_second_factor(self) -> None:
        flows = by_name(realm()["authenticationFlows"], "alias")
        top = flows[realm()["browserFlow"]]["authenticationExecutions"]
        (form,) = [flows[step["flowAlias"]] for step in top if step["authenticatorFlow"]]
        required = {s["authenticator"] for s in form["authenticationExecutions"] if s["requirement"] == "REQUIRED"}
        assert required == {"auth-username-password-form", "auth-otp-form"}
        assert {step.get("authenticator") for step in top} == {"auth-cookie", None}
        assert by_name(realm()["requiredActions"], "alias")["CONFIGURE_TOTP"]["defaultAction"] is True

    def test_groups_give_roles_that_exist(self) -> None:
        roles = {name: {role["name"] for role in items} for name, items in realm()["roles"]["client"].items()}
        groups = by_name(realm()["groups"], "name")
        for group in groups.values():
            for client, names in group["clientRoles"].items():
                assert set(names) <= roles[client]
        assert {client: set(names) for client, names in groups["admins"]["clientRoles"].items()} == roles
        assert "admin" not in groups["family"]["clientRoles"].get("grafana", [])

    def test_admin_secret_is_not_in_the_store(self) -> None:
        assert value("keycloak", "services.keycloak.initialAdminPassword") is None
        unit = value("keycloak", 'systemd.units."keycloak.service".text')
        assert "EnvironmentFile=/run/secrets/rendered/keycloak-bootstrap.env" in unit
        assert "BOOTSTRAP" not in unit

    def test_two_hosts_with_one_client_id_are_an_error(self, copy: Path) -> None:
        (copy / "nix/hosts/trinity/media/exports.nix").write_text("_: { clients.gateway.redirects = [ ]; }")
        with pytest.raises(evaluate.NixError, match=r"'gateway' is declared by gateway and media\. Give one of them"):
            evaluated(copy, "nixosConfigurations.keycloak.config.aether.keycloak.clients")


class TestOpenbao:
    def test_unseals_by_a_secret_of_the_host(self) -> None:
        seal = value("openbao", "services.openbao.settings")["seal"]["static"]
        assert seal["current_key"] == "file:///run/credentials/openbao.service/seal-key"
        unit = value("openbao", 'systemd.units."openbao.service".text')
        assert "LoadCredential=seal-key:/run/secrets/seal-key" in unit

    def test_policies_named_are_policies_written(self) -> None:
        state = json.loads(value("openbao", 'environment.etc."openbao/state.json".text'))
        used = {name for names in state["groups"]["policies"].values() for name in names}
        used |= {name for write in state["writes"] for name in write["data"].get("token_policies", [])}
        assert used <= state["policies"].keys()
        assert state["groups"]["mount"] in state["auth"]
        for group in state["groups"]["policies"]:
            assert group in by_name(realm()["groups"], "name")

    def test_every_mount_written_to_is_made(self) -> None:
        state = json.loads(value("openbao", 'environment.etc."openbao/state.json".text'))
        for write in state["writes"]:
            first, second = write["path"].split("/")[:2]
            assert first in state["mounts"] or (first == "auth" and second in state["auth"])


@pytest.mark.parametrize("host", ["step-ca", "keycloak", "openbao"])
def test_what_cannot_be_made_again_is_backed_up(host: str) -> None:
    job = value(host, "services.restic.backups.aether")
    assert job["paths"] == [f"/var/backup/{host}"]
    # What is in that directory is put there just before.
    assert job["backupPrepareCommand"].strip()
