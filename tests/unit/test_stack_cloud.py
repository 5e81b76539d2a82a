"""The cloud's composition with mocks: which machine waits for whom, what both stacks tell each other."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pytest

from aether_sim.hosts.firstboot import random_host_key
from inventory.ansible import listing
from inventory.files import REPOSITORY
from inventory.load import Inventory, load
from ops.fleet import _one_host, rollback
from ops.stack import Stack
from stacks import cloud, images
from stacks.errors import SettingsError
from stacks.existing import Existing
from stacks.settings import Settings
from tests.unit.recorder import STACK, Recording, record

CLOUD = Path("inventory/cloud.toml")
KEY = random_host_key()


@pytest.fixture(autouse=True)
def _no_sops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets without sops: what they are is no matter here."""

    def secret(settings: Settings, file: str, key: str) -> pulumi.Output[str]:
        return pulumi.Output.secret(KEY if key == cloud.HOST_KEY else f"{file} {key}")

    for module in (cloud, images):
        monkeypatch.setattr(module, "secret", secret)


def settings(**changes: object) -> Settings:
    values: dict[str, object] = {
        "stack": STACK,
        "composition": "cloud",
        "inventory": CLOUD,
        "evaluator": "source",
        # The images in the repository are examples, for a simulator.
        "aws_endpoint": "http://127.0.0.1:9",
        "github_token": pulumi.Output.secret("token"),
    }
    return Settings.model_validate(values | changes)


def outputs(kind: str, name: str) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = {
        "aws:ec2/eip:Eip": {"publicIp": "198.51.100.7"},
        "aws:ec2/instance:Instance": {"ipv6Addresses": ["2a05::a"]},
        "aws:route53/zone:Zone": {"zoneId": "Z1", "nameServers": []},
        "aws:ec2/vpc:Vpc": {"ipv6CidrBlock": "2a05:d014:1::/56"},
        "command:local:run": {"stdout": "{}"},
    }
    return found.get(kind, {})


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


def test_a_workstation_gets_its_home_after_its_system_and_again_on_a_new_machine() -> None:
    home = compose().one("local:Command", "cloud-workstation-home")
    assert home.environment["AETHER_PLAYBOOK"] == "bootstrap.yml"
    assert home.environment["AETHER_INSTANCE"] == "cloud-workstation-id"
    assert any("NixosSystem" in urn and urn.endswith("::cloud-workstation") for urn in home.depends_on), home.depends_on


def test_a_new_machine_is_given_the_time_to_boot() -> None:
    found = compose().of("local:Command").items()
    commands = {name: command for name, command in found if "AETHER_HOST" in command.environment}
    assert {name for name, command in commands.items() if command.environment["AETHER_WAIT"] == "300"} == set(commands)


def test_a_builder_of_another_architecture_is_the_inventorys_word() -> None:
    inventory = load(CLOUD)
    vps = inventory.hosts["vps"].model_copy(update={"build_on": "operator"})
    content = inventory.content.model_copy(update={"hosts": {**inventory.hosts, "vps": vps}})
    recording = record(lambda: cloud.compose(settings(), replace(inventory, content=content)), outputs=outputs)
    assert recording.one("local:Command", "vps").environment["AETHER_BUILD_ON"] == "operator"
    assert recording.one("local:Command", "cloud-workstation").environment["AETHER_BUILD_ON"] == "target"


def test_what_was_changed_by_hand_is_deployed_again_where_the_stack_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud, "drifts", lambda ssh_config, inventory, phase: {"vps": "runs /nix/store/other"})
    assert compose(detect_drift=True).one("local:Command", "vps").environment["AETHER_DRIFT"] == "runs /nix/store/other"
    assert compose().one("local:Command", "vps").environment["AETHER_DRIFT"] == ""


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


def test_the_gateway_knows_where_home_is_from_the_inventory() -> None:
    environment = compose().one("local:Command", "public-gateway").environment
    assert environment["AETHER_VAR_homelab_gateway"] == str(load("inventory/homelab.toml").hosts["gateway"].address)


def test_what_the_zone_has_already_is_imported_for_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def look(settings: Settings, inventory: Inventory, region: str, machines: dict[str, Any], names: list[str]) -> Existing:
        asked.update(region=region, machines=set(machines), names=set(names))
        return Existing({"example.org-a": "Z_example.org_A", "vps.cloud.example.org-a": "Z_vps.cloud.example.org_A"})

    monkeypatch.setattr(cloud, "look", look)
    found = compose().of("route53/record:Record")
    assert {name for name, record in found.items() if record.import_id} == {"example.org-a", "vps.cloud.example.org-a"}
    assert asked["machines"] == {"public-gateway", "vps", "cloud-workstation"} and asked["region"] == "eu-central-1"
    assert asked["names"] == {record.inputs["name"] for record in found.values()}


def test_no_other_stack_is_asked() -> None:
    assert compose().of("StackReference") == {}


def test_a_service_that_becomes_public_configures_the_gateway_again(monkeypatch: pytest.MonkeyPatch) -> None:
    homelab = load("inventory/homelab.toml")

    def version(public: bool) -> str:
        service = homelab.services["grafana"].model_copy(update={"public": public})
        content = homelab.content.model_copy(update={"services": {**homelab.services, "grafana": service}})
        monkeypatch.setattr(cloud, "_homelab", lambda settings, inventory: replace(homelab, content=content))
        return str(compose().one("local:Command", "public-gateway").inputs["stdin"])

    assert version(True) != version(False)


@pytest.mark.parametrize("change", [{"ami": "ami-0c3000000000000c3"}, {"open": ()}, {"instance_type": "t4g.small"}])
def test_what_only_aws_is_told_of_a_machine_configures_none_again(change: dict[str, object]) -> None:
    inventory = load(CLOUD)

    def versions(changed: Inventory) -> dict[str, object]:
        commands = record(lambda: cloud.compose(settings(), changed), outputs=outputs).of("local:Command").items()
        playbooks = {name: command.inputs.get("stdin") for name, command in commands}
        return {name: version for name, version in playbooks.items() if version}

    gateway = inventory.hosts["public-gateway"].model_copy(update=change)
    hosts = {**inventory.hosts, "public-gateway": gateway}
    after = replace(inventory, content=inventory.content.model_copy(update={"hosts": hosts}))
    assert versions(inventory) == versions(after) != {}


def names() -> dict[str, set[str]]:
    """Names that lead to each machine, by the machine."""
    found: dict[str, set[str]] = {}
    for entry in compose().of("route53/record:Record").values():
        found.setdefault(entry.parent.rsplit("::", 1)[1], set()).add(entry.inputs["name"])
    return found


def test_the_homelabs_end_of_the_link_dials_a_name_that_leads_to_the_gateway() -> None:
    nix = Path("nix/hosts/oracle/gateway/wireproxy.nix").read_text()
    endpoint = re.search(r'default = "(\S+):51820"', nix)
    assert endpoint
    domain = load("inventory/homelab.toml").site.public_domain
    assert endpoint[1].replace("${aether.site.public_domain}", domain) in names()["public-gateway"]


def test_what_the_vps_serves_leads_to_it() -> None:
    served = re.findall(r'"(\w+)\.\$\{domain\}"\.extraConfig', Path("nix/hosts/vps/default.nix").read_text())
    assert served and {f"{label}.example.org" for label in served} <= names()["vps"]


def test_a_name_that_would_lead_to_two_places_is_refused() -> None:
    inventory = load(CLOUD)
    vps = inventory.hosts["vps"].model_copy(update={"public_names": ("jellyfin",)})
    hosts = {**inventory.hosts, "vps": vps}
    doubled = replace(inventory, content=inventory.content.model_copy(update={"hosts": hosts}))
    with pytest.raises(SettingsError, match=r"jellyfin\.example\.org would lead to two places"):
        record(lambda: cloud.compose(settings(), doubled), outputs=outputs)


class TestAddresses:
    """A new zone's names are known to nobody while its stack is deployed for the first time."""

    def reached(self, name: str) -> str:
        config = REPOSITORY / f".aether/ssh/{STACK}/config"
        answer = subprocess.run(["ssh", "-G", "-F", config, name], capture_output=True, text=True, check=True).stdout
        return dict(line.split(" ", 1) for line in answer.splitlines())["hostname"]

    @pytest.mark.parametrize("name", ["public-gateway", "vps"])
    def test_a_machine_is_reached_at_its_public_address(self, name: str) -> None:
        shutil.rmtree(REPOSITORY / f".aether/ssh/{STACK}", ignore_errors=True)
        compose()
        assert self.reached(name) == "198.51.100.7"
        assert self.reached(f"{name}.cloud.example.org") == "198.51.100.7", "what Ansible calls it"

    def test_the_endpoints_file_has_the_last_word(self, tmp_path: Path) -> None:
        compose()
        endpoints = tmp_path / "endpoints.json"
        endpoints.write_text(json.dumps({"vps": {"address": "127.1.2.3", "port": 2222}}))
        compose(endpoints_file=str(endpoints))
        assert self.reached("vps") == "127.1.2.3"

    def test_ansible_calls_it_by_the_name_that_leads_to_it(self) -> None:
        hosts = listing([load(CLOUD)])["_meta"]["hostvars"]
        assert hosts["public-gateway"]["ansible_host"] == "public-gateway.cloud.example.org"


def test_greenboot_checks_are_of_the_hosts_that_run_these_images_alone() -> None:
    files = json.loads(compose().one("local:Command", "aether-image-commit").inputs["stdin"])
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


def test_a_nixos_machine_is_a_host_like_any_other() -> None:
    """Health that has to go on holding, the window, the reboot, an order among machines, and what the stack tells of them."""
    inventory = load(CLOUD)
    hosts = dict(inventory.hosts)
    hosts["vps"] = hosts["vps"].model_copy(update={"settle": 7, "confirm_timeout": 90, "reboot": "auto"})
    hosts["cloud-workstation"] = hosts["cloud-workstation"].model_copy(update={"depends_on": ("public-gateway", "vps")})
    changed = replace(inventory, content=inventory.content.model_copy(update={"hosts": hosts}))
    recording = record(lambda: cloud.compose(settings(), changed), outputs=outputs)
    vps = recording.one("local:Command", "vps").environment
    assert [vps[f"AETHER_{name}"] for name in ("SETTLE", "CONFIRM_TIMEOUT", "REBOOT")] == ["7", "90", "auto"]
    after = recording.one("local:Command", "cloud-workstation").depends_on
    assert any(urn.endswith("::vps") and "NixosSystem" in urn for urn in after), after


@pytest.mark.parametrize("host", ["vps", "cloud-workstation"])
def test_the_operators_commands_take_it(host: str) -> None:
    assert _one_host(Stack("sim-cloud"), "rollback", rollback, [host])[0] == host


def test_a_machine_is_met_before_it_is_configured() -> None:
    recording = compose()
    for name in ("public-gateway", "vps"):
        contact = recording.one("local:Command", f"{name}-contact")
        assert contact.environment["AETHER_BOOTSTRAP_KEY"].startswith("ssh-ed25519 ")
        assert KEY.splitlines()[-2] not in str(contact.inputs)


def test_examples_are_no_images_for_the_real_aws() -> None:
    with pytest.raises(SettingsError, match=r"hosts\.vps\.ami: ami-0b2000000000000b2.*cloud images"):
        cloud.compose(settings(aws_endpoint=""), load(CLOUD))


def test_relays_are_open_to_the_machines_beside_the_gateway_alone() -> None:
    rules = {name: rule.inputs for name, rule in compose().of("SecurityGroupIngressRule").items()}
    for port in (4317, 2222):
        assert rules[f"public-gateway-tcp-{port}"]["cidrIpv4"] == "192.168.90.0/24"
        assert f"public-gateway-tcp-{port}-ipv6" not in rules


def test_a_relay_to_nobody_is_refused() -> None:
    inventory = load(CLOUD)
    assert inventory.cloud is not None
    relay = inventory.cloud.relays["backups"].model_copy(update={"host": "smith-storge"})
    table = inventory.cloud.model_copy(update={"relays": {"backups": relay}})
    changed = replace(inventory, content=inventory.content.model_copy(update={"cloud": table}))
    with pytest.raises(SettingsError, match=r"relays\.backups\.host: 'smith-storge' is no host of homelab\.toml"):
        record(lambda: cloud.compose(settings(), changed), stack=STACK, outputs=outputs)
