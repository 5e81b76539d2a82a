"""Host dev: Coder, workspaces and the registry mirror, all of them without root."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nix.tools import evaluate

from .conftest import ask, host_report
from .workloads import derivations, generated, settings

Checker = Callable[[str], str]
TEMPLATES = evaluate.ROOT / "nix" / "hosts" / "trinity" / "dev" / "templates"
UID = "970"


def unit(name: str) -> dict[str, list[str]]:
    return settings(host_report("dev").value["units"][name])


def environment(name: str) -> dict[str, str]:
    pairs = [entry.strip('"').partition("=") for entry in unit(name)["Environment"]]
    return {key: value for key, _, value in pairs}


def quadlets() -> dict[str, str]:
    found = host_report("dev").value["etc"]
    return {name.rpartition("/")[2]: text for name, text in found.items() if name.startswith("containers/systemd/")}


class TestCoder:
    def test_logs_in_at_keycloak_with_a_client_of_its_own(self) -> None:
        found = environment("coder.service")
        assert found["CODER_OIDC_ISSUER_URL"] == "https://auth.example.org/realms/homelab"
        assert found["CODER_OIDC_CLIENT_ID"] == "coder"
        assert found["CODER_ACCESS_URL"] == "https://coder.example.org"
        assert not any("SECRET" in key or "PASSWORD" in key for key in found)
        assert unit("coder.service")["EnvironmentFile"] == ["/run/secrets/rendered/coder.env"]

    def test_keycloak_knows_where_to_send_people_back(self) -> None:
        redirects = ask("nixosConfigurations.dev.config.aether.web.clients.coder.redirects")
        assert redirects == [
            f"https://coder.{domain}/api/v2/users/oidc/callback" for domain in ("home.example.org", "example.org")
        ]

    def test_its_containers_have_no_root(self) -> None:
        assert environment("coder.service")["DOCKER_HOST"] == f"unix:///run/user/{UID}/podman/podman.sock"
        assert f"user@{UID}.service" in " ".join(unit("coder.service")["After"])
        users = ask(
            "nixosConfigurations.dev.config.users.users",
            """users: {
          inherit (users.coder) uid linger autoSubUidGidRange extraGroups;
          others = builtins.filter (name: builtins.elem "podman" users.${name}.extraGroups) (builtins.attrNames users);
        }""",
        )
        assert users["uid"] == int(UID) and users["linger"] and users["autoSubUidGidRange"]
        # The group of the socket that is root's.
        assert users["others"] == []

    def test_its_database_is_dumped_before_a_backup(self) -> None:
        assert {"/var/backup/postgresql", "/home"} <= set(host_report("dev").value["backup"])
        prepare = "\n".join(str(t) for name, found in generated("dev").items() if "backupPrepareCommand" in name for t in found)
        assert re.search(r"pg_dump --format=custom coder > \S+/coder\.dump\.new\n", prepare)


class TestWorkspaces:
    def test_run_the_image_that_this_configuration_builds(self) -> None:
        image = environment("coder-templates.service")["WORKSPACE_IMAGE"]
        assert re.fullmatch(r"localhost/aether-workspace:[a-z0-9]{32}", image)
        assert "aether-workspace.tar.gz" in unit("coder-workspace-image.service")["ExecStart"][0]
        assert unit("coder-workspace-image.service")["User"] == ["coder"]

    @pytest.mark.usefixtures("trees")
    def test_image_trusts_the_homelab(self) -> None:
        base: Any = next(entry for entry in derivations("dev") if entry["name"] == "aether-workspace-base.json")
        assert "SSL_CERT_FILE=/etc/ssl/certs/ca-bundle.crt" in json.dumps(base)
        bundles = [entry for entry in derivations("dev") if entry["name"].startswith("nss-cacert")]
        assert any("root_ca.crt" in json.dumps(entry) for entry in bundles)

    def test_templates_take_the_image_as_variable(self) -> None:
        templates = sorted(TEMPLATES.glob("*/main.tf"))
        assert templates
        for template in templates:
            text = template.read_text()
            assert 'variable "image"' in text and "var.image" in text
            # An image by a moving name would be another one tomorrow.
            assert not re.search(r'image\s*=\s*"', text)

    def test_their_network_is_the_one_that_exists(self) -> None:
        assert 'name = "workspaces"' in (TEMPLATES / "podman" / "main.tf").read_text()
        assert "NetworkName=workspaces" in quadlets()["workspaces.network"]


class TestMirror:
    def test_quadlets_are_rootless_checked_and_pinned(self) -> None:
        found = quadlets()
        assert set(found) == {"mirror.container", "mirror.image", "mirror.volume", "workspaces.network"}
        assert not any("User" in settings(text) for text in found.values())
        assert all(name.startswith(f"containers/systemd/users/{UID}/") for name in host_report("dev").value["quadlets"])
        container = settings(found["mirror.container"])
        assert container["Image"] == ["mirror.image"]
        assert container["HealthCmd"][0].endswith("/bin/curl -fsS http://127.0.0.1:5000/v2/")
        assert container["HealthOnFailure"] == ["kill"] and container["PublishPort"] == ["127.0.0.1:5000:5000"]
        image = settings(found["mirror.image"])
        assert image["Image"][0].startswith("docker-archive:") and re.search(r":[a-z0-9]{32}$", image["ImageTag"][0])

    def test_podmans_generator_makes_units_of_them(self, checker: Checker, tmp_path: Path) -> None:
        for name, text in quadlets().items():
            (tmp_path / name).write_text(text)
        result = subprocess.run(
            [checker("quadlet"), "--dryrun"],
            env={"QUADLET_UNIT_DIRS": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        assert "---mirror.service---" in result.stdout + result.stderr

    def test_a_word_that_the_generator_does_not_know_is_found(self, checker: Checker, tmp_path: Path) -> None:
        (tmp_path / "mirror.container").write_text(quadlets()["mirror.container"].replace("HealthCmd=", "HealthCommand="))
        result = subprocess.run(
            [checker("quadlet"), "--dryrun"],
            env={"QUADLET_UNIT_DIRS": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert "HealthCommand" in result.stdout + result.stderr
