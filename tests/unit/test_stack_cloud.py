"""The cloud's composition with mocks: which machine waits for whom, what both stacks tell each other."""

from pathlib import Path
from typing import Any

import pulumi
import pytest

from inventory.load import load
from stacks import cloud
from stacks.settings import Settings, SettingsError
from tests.unit.recorder import Recording, record

CLOUD = Path("inventory/cloud.toml")


@pytest.fixture(autouse=True)
def _no_sops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets without sops: what they are is no matter here."""
    monkeypatch.setattr(cloud, "secret", lambda settings, file, key: pulumi.Output.secret(f"{file} {key}"))


def settings(**changes: object) -> Settings:
    values: dict[str, object] = {
        "stack": "unit-cloud",
        "composition": "cloud",
        "inventory": CLOUD,
        "evaluator": "source",
        "github_token": pulumi.Output.secret("token"),
    }
    return Settings.model_validate(values | changes)


def outputs(kind: str, name: str) -> dict[str, Any]:
    return {
        "aws:ec2/eip:Eip": {"publicIp": "198.51.100.7"},
        "aws:ec2/instance:Instance": {"ipv6Addresses": ["2a05::a"]},
        "aws:route53/zone:Zone": {"zoneId": "Z1", "nameServers": []},
        "aws:ec2/vpc:Vpc": {"ipv6CidrBlock": "2a05:d014:1::/56"},
        "command:local:run": {"stdout": "{}"},
        "pulumi:pulumi:StackReference": {"outputs": {"addresses": {"gateway": "192.168.10.10"}}},
    }.get(kind, {})


def compose(**changes: object) -> Recording:
    return record(lambda: cloud.compose(settings(**changes), load(CLOUD)), outputs=outputs)


def test_every_machine_of_the_inventory_is_made_once() -> None:
    recording = compose()
    assert set(recording.of("ec2/instance:Instance")) == {"public-gateway", "vps", "cloud-workstation"}
    assert len(recording.of("ec2/vpc:Vpc")) == 1, "they share the gateway's network"


def test_machines_behind_the_gateway_are_configured_after_it_is_healthy() -> None:
    command = compose().one("aether:nixos:NixosSystem", "vps")
    assert command.type == "aether:nixos:NixosSystem"
    deployment = compose().one("local:Command", "vps")
    assert any("public-gateway" in urn for urn in deployment.depends_on), deployment.depends_on


def test_amazon_linux_is_configured_by_its_playbook_and_then_checked() -> None:
    recording = compose()
    run = recording.one("local:Command", "public-gateway").environment
    checks = recording.one("local:Command", "public-gateway-health").environment
    assert run["AETHER_PLAYBOOK"] == "public-gateway.yml"
    assert "unit\tcaddy.service" in checks["AETHER_CHECKS"]


def test_the_homelabs_public_services_get_their_names() -> None:
    services = load("inventory/homelab.toml").services
    names = {record.inputs["name"] for record in compose().of("route53/record:Record").values()}
    public = {f"{service.subdomain or name}.example.org" for name, service in services.items() if service.public}
    assert public and public <= names


def test_the_homelabs_address_is_known_once_its_stack_is_named() -> None:
    alone = compose().one("local:Command", "public-gateway").environment
    together = compose(homelab_stack="organization/aether/sim").one("local:Command", "public-gateway").environment
    assert alone["AETHER_VAR_homelab_gateway"] == ""
    assert together["AETHER_VAR_homelab_gateway"] == "192.168.10.10"


def test_greenboot_checks_are_of_the_hosts_that_run_these_images_alone() -> None:
    files = [file.inputs["file"] for file in compose().of("RepositoryFile").values()]
    checks = {file.rsplit("/", 1)[-1] for file in files if "/aether/checks/" in file}
    assert checks == {"bifrost-kinoite", "workstation"}, "the gaming host is on somebody else's image"


def test_addresses_and_zone_are_protected_unless_the_stack_says_otherwise() -> None:
    assert {item.type.rsplit(":", 1)[-1] for item in compose().resources if item.protect} == {"Eip", "Zone", "Repository"}
    assert not [item for item in compose(protect=False).resources if item.protect]


def test_a_missing_token_is_named_with_the_command_that_sets_it() -> None:
    with pytest.raises(SettingsError, match="config set --secret aether:githubToken"):
        compose(github_token=None)


def test_a_missing_public_key_is_named() -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.pub does not exist"):
        compose(image_public_key="nowhere.pub")


def test_machines_in_two_regions_are_refused() -> None:
    from stacks.public import one_region

    with pytest.raises(SettingsError, match="eu-central-1, eu-west-1"):
        one_region(["eu-west-1", "eu-central-1"])
