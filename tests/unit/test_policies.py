"""Policies: what each of them finds, levels and exceptions of the inventory, an owner's own, and what they cost."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from bench.fleet import public_key
from inventory.load import Inventory, load
from inventory.policies import Judge, PolicyError, Resource, Subject, builtin, load_policies
from ops.__main__ import main
from stacks.policies import plain, told
from tests.system import small

REPOSITORY = Path(__file__).resolve().parents[2]
Write = Callable[..., Inventory]


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Write]:
    """The small fleet with replacements (old, new) and more at its end, in a repository of its own."""

    def make(*changes: tuple[str, str], more: str = "") -> Inventory:
        text = small.inventory(more)
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        (tmp_path / "homelab.toml").write_text(text)
        return load(tmp_path / "homelab.toml")

    yield make
    builtin._files.cache_clear()


def broken(inventory: Inventory, **settings: Any) -> dict[str, list[str]]:
    """Who breaks each policy."""
    folder = inventory.path.parent
    found: dict[str, list[str]] = {}
    for verdict in Judge(load_policies(folder), inventory).subject(Subject(inventory, folder, settings)):
        if not verdict.reason:
            found.setdefault(verdict.policy, []).append(verdict.finding.about)
    return found


def test_the_examples_break_no_policy_and_no_exception_is_idle() -> None:
    for file in ("homelab", "cloud", "staging"):
        inventory = load(f"inventory/{file}.toml")
        judge = Judge(load_policies(REPOSITORY), inventory)
        found = [str(verdict) for verdict in judge.subject(Subject(inventory, REPOSITORY)) if not verdict.reason]
        assert (found, judge.unused()) == ([], []), file


def test_ssh_for_everybody_is_found_wherever_it_is_written(write: Write) -> None:
    server = f"""
[hosts.far]
kind = "hcloud-vm"
address = "192.168.10.90"
server_type = "cax11"
location = "fsn1"
image = "1"
ssh_from = {{ h = "203.0.113.0/24", all = "0.0.0.0/0" }}
open = [{{ port = 22, purpose = "x" }}, {{ port = 22, purpose = "z", cidrs = ["203.0.113.9/32"] }}]
host_key = "{public_key("far")}"
"""
    assert broken(write(more=server))["no-public-ssh"] == ["far", "far"]
    cloud = (REPOSITORY / "inventory/cloud.toml").read_text()
    path = write().path.with_name("cloud.toml")
    path.write_text(cloud.replace('home = "203.0.113.0/24"', 'all = "0.0.0.0/0"'))
    assert broken(load(path))["no-public-ssh"] == ["cloud"]


def test_data_is_protected(write: Write) -> None:
    data = ("disks = [{ size = 8 }]", 'disks = [{ size = 8 }, { size = 9, mount = "/srv" }]\ndisposable = true\nreplace = true')
    assert broken(write(data))["protected-data"] == ["web", "web"]
    fleet = write(("disks = [{ size = 8 }]", "disks = [{ size = 8 }]\ndisposable = true"))
    assert "protected-data" not in broken(fleet, protect=True)
    assert broken(fleet, protect=False, stack="homelab")["protected-data"] == ["stack"]
    assert "protected-data" not in broken(fleet, protect=False, endpoints_file="x"), "the simulator's hosts hold nothing"


def test_certificates_are_checked(write: Write) -> None:
    fleet = write()
    assert broken(fleet, proxmox_insecure=True)["no-insecure-tls"] == ["stack"]
    assert broken(fleet, proxmox_endpoint="http://192.0.2.1:8006/")["no-insecure-tls"] == ["stack"]
    assert "no-insecure-tls" not in broken(fleet, proxmox_endpoint="https://192.0.2.1:8006/")


def test_every_host_has_health_backup_and_monitoring(write: Write) -> None:
    fleet = write()
    assert broken(fleet)["has-health"] == ["web", "dns", "log"] == broken(fleet)["has-backup"]
    folder = fleet.path.parent / "nix/hosts/pve1"
    (folder / "dns").mkdir(parents=True)
    (folder / "web.nix").write_text('{ aether.backup.paths = [ "/srv" ]; }\n')
    (folder / "dns/default.nix").write_text("{ imports = [ ./zone.nix ]; }\n")
    (folder / "dns/zone.nix").write_text('{ aether = { backup.paths = [ "/var/lib/dns" ]; }; }\n')
    (folder / "dns/exports.nix").write_text("{ watched = false; }\n")
    builtin._files.cache_clear()
    found = broken(fleet)
    assert (found["has-backup"], found["has-monitoring"]) == (["log"], ["dns"])
    job = '[backups.nightly]\nstorage = "local"\nschedule = "02:30"\nkeep = { last = 3 }\n'
    assert "has-backup" not in broken(write(more=job)), "every guest is in a job that names none"


@pytest.mark.parametrize(
    ("text", "sealed"),
    [
        ("{ aether.features.disk.enable = true; }", True),
        ("{ aether.features = { disk = { enable = true; }; }; }", True),
        ('{ content.type = "luks"; }', True),
        ("{ aether.features.disk = { enable = true; encrypt = false; }; }", False),
        ("{ }", False),
        ("{ ... }:\n{\n  imports = [ ../profiles/empty-root.nix ];\n  aether.features = {\n    disk.swap = 16;\n  };\n}\n", True),
    ],
)
def test_a_machine_that_can_be_carried_away_is_encrypted(write: Write, text: str, sealed: bool) -> None:
    host = f'[hosts.portable]\nkind = "nixos-metal"\naddress = "192.168.10.21"\nhost_key = "{public_key("portable")}"\n'
    fleet = write(more=host)
    folder = fleet.path.parent / "nix/hosts"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "portable.nix").write_text(text)
    builtin._files.cache_clear()
    assert broken(fleet).get("encrypted-machines", []) == ([] if sealed else ["portable"])


def test_an_image_that_follows_a_tag_is_told(write: Write) -> None:
    more = small.atomic("station", 20, 'image = "ghcr.io/ublue-os/bazzite"', 'tag = "stable"')
    assert broken(write(more=more))["images-by-digest"] == ["station"]


GROUP, RULE = "aws:ec2/securityGroup:SecurityGroup", "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
VOLUME, INSTANCE = "aws:ebs/volume:Volume", "aws:ec2/instance:Instance"
SSH = {"from_port": 22, "to_port": 22}


@pytest.mark.parametrize(
    ("kind", "properties", "policy"),
    [
        (GROUP, {"ingress": [{"from_port": 20, "to_port": 30, "cidr_blocks": ["0.0.0.0/0"]}]}, "no-public-ssh-rules"),
        (GROUP, {"ingress": [{"protocol": "-1", "ipv6_cidr_blocks": ["::/0"]}]}, "no-public-ssh-rules"),
        (GROUP, {"ingress": None}, None),
        (RULE, {**SSH, "cidr_ipv4": "0.0.0.0/0"}, "no-public-ssh-rules"),
        (RULE, {**SSH, "cidr_ipv4": "203.0.113.0/24"}, None),
        (RULE, {"from_port": 443, "to_port": 443, "cidr_ipv4": "0.0.0.0/0"}, None),
        (VOLUME, {"size": 8}, "encrypted-disks"),
        (VOLUME, {"size": 8, "encrypted": True}, None),
        (VOLUME, {"encrypted": None}, None),
        (INSTANCE, {}, "encrypted-disks"),
        (INSTANCE, {"root_block_device": {"encrypted": False}}, "encrypted-disks"),
        (INSTANCE, {"root_block_device": {"encrypted": True}}, None),
        (INSTANCE, {"root_block_device": {"encrypted": True}, "ebs_block_devices": [{"encrypted": False}]}, "encrypted-disks"),
        ("pulumi:providers:proxmoxve", {"insecure": True}, "no-insecure-providers"),
    ],
)
def test_resources_are_judged_by_what_is_known_of_them(kind: str, properties: dict[str, Any], policy: str | None) -> None:
    judge = Judge(load_policies(REPOSITORY), load("inventory/homelab.toml"))
    found = [verdict.policy for verdict in judge.resource(Resource(kind, "it", properties))]
    assert found == ([policy] if policy else [])


OWN = """
from collections.abc import Iterator
from inventory.policies import Finding, Subject, policy

@policy("short-names", "mandatory", "Names have two letters")
def short_names(subject: Subject) -> Iterator[Finding]:
    for name in subject.inventory.hosts:
        if len(name) > 2:
            yield Finding(name, f"has {len(name)} letters", "take some out")
"""


def test_an_owners_own_policy_with_a_level_and_an_exception(write: Write) -> None:
    fleet = write(
        more='[policies.short-names.exceptions]\nweb = "Everybody knows it by this name"\nold = "It is not there any more"\n'
    )
    folder = fleet.path.parent / "policies"
    folder.mkdir()
    (folder / "names.py").write_text(OWN)
    judge = Judge(load_policies(folder.parent), fleet)
    verdicts = [verdict for verdict in judge.subject(Subject(fleet, folder.parent)) if verdict.policy == "short-names"]
    assert {verdict.finding.about: (verdict.level, verdict.reason[:9]) for verdict in verdicts} == {
        "web": ("mandatory", "Everybody"), "dns": ("mandatory", ""), "log": ("mandatory", ""),
    }  # fmt: skip
    dns = next(verdict for verdict in verdicts if verdict.finding.about == "dns")
    line = fleet.path.read_text().splitlines().index("[hosts.dns]") + 1
    assert str(dns) == f"{fleet.path}:{line}: hosts.dns: has 3 letters. Fix: take some out (mandatory policy short-names)"
    (idle,) = judge.unused()
    assert "policies.short-names.exceptions: 'old' breaks nothing" in idle
    advisory = write(more='[policies.short-names]\nlevel = "advisory"\n')
    judge = Judge(load_policies(folder.parent), advisory)
    assert {verdict.level for verdict in judge.subject(Subject(advisory, folder.parent)) if verdict.policy == "short-names"} == {
        "advisory"
    }


def test_what_is_wrong_with_the_policies_themselves_is_said(write: Write) -> None:
    with pytest.raises(PolicyError, match="is no policy, did you mean 'has-health'"):
        Judge(load_policies(REPOSITORY), write(more='[policies.has-helth]\nlevel = "advisory"\n'))
    fleet = write()
    folder = fleet.path.parent / "policies"
    folder.mkdir()
    (folder / "a.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(PolicyError, match=r"policies/a.py: ModuleNotFoundError: .*Fix: correct it"):
        load_policies(folder.parent)
    (folder / "a.py").write_text(OWN.replace("short-names", "has-health"))
    with pytest.raises(PolicyError, match="has-health is declared twice"):
        load_policies(folder.parent)


def test_an_exception_wants_a_reason(write: Write) -> None:
    with pytest.raises(Exception, match=r"policies\.has-health"):
        write(more='[policies.has-health.exceptions]\nweb = "no"\n')


def test_properties_are_read_as_the_sdk_has_them() -> None:
    rule = aws.ec2.SecurityGroupIngressArgs(from_port=22, to_port=22, protocol="tcp", cidr_blocks=["0.0.0.0/0"])
    disk = aws.ec2.InstanceRootBlockDeviceArgs(encrypted=True, volume_size=8)
    found = plain({"ingress": [rule], "disk": disk, "later": pulumi.Output.from_input("x")})
    assert found["ingress"][0]["cidr_blocks"] == ["0.0.0.0/0"] and found["ingress"][0]["from_port"] == 22
    assert found["disk"]["encrypted"] is True and found["later"] is None
    judge = Judge(load_policies(REPOSITORY), load("inventory/homelab.toml"))
    assert [verdict.policy for verdict in judge.resource(Resource(GROUP, "it", found))] == ["no-public-ssh-rules"]


def test_a_preview_says_a_line_a_policy(write: Write) -> None:
    fleet = write()
    verdicts = list(Judge(load_policies(fleet.path.parent), fleet).subject(Subject(fleet, fleet.path.parent)))
    lines = told(verdicts)
    assert [line.partition(": ")[2].partition(".")[0] for line in lines] == [
        "web, dns, log: break the advisory policy has-health", "web, dns, log: break the advisory policy has-backup",
    ]  # fmt: skip
    assert told(verdicts[:1]) == [str(verdicts[0])]


def test_the_command_lists_and_judges(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--stack", "homelab", "policies", "--list"]) == 0
    assert "no-public-ssh" in capsys.readouterr().out
    assert main(["--stack", "homelab", "policies"]) == 0
    assert "0 findings end a preview" in capsys.readouterr().out


def test_they_cost_a_preview_less_than_50_ms() -> None:
    inventory = load("inventory/homelab.toml")

    def cost() -> float:
        builtin._files.cache_clear()
        started = time.process_time()
        judge = Judge(load_policies(REPOSITORY), inventory)
        list(judge.subject(Subject(inventory, REPOSITORY)))
        judge.unused()
        return time.process_time() - started

    assert min(cost() for _ in range(5)) < 0.05
