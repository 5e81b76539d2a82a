"""Components that configure: their children, what reaches the scripts, and when they run again."""

from pathlib import Path
from typing import Any

import pulumi
import pytest
from pydantic import ValidationError

from components.ansible.playbook import Playbook, PlaybookArgs
from components.ansible.sources import Playbooks, playbook_content
from components.atomic.host import AtomicHost, AtomicHostArgs
from components.base import Operator
from components.health.checks import check_lines
from components.home.bootstrap import HomeBootstrap, HomeBootstrapArgs
from components.nixos.system import NixosSystem, NixosSystemArgs
from inventory.files import REPOSITORY
from inventory.models import CommandCheck, Home, HttpCheck, TcpCheck, UnitCheck
from tests.unit.recorder import record

OPERATOR = Operator(ssh_config=".aether/ssh/unit/config")
DIGEST = "sha256:" + "ab" * 32


def test_checks_are_lines_that_the_host_reads() -> None:
    checks = (
        UnitCheck(unit="caddy.service"),
        TcpCheck(tcp=443, timeout=5),
        HttpCheck(http="https://{address}/", status=302),
        CommandCheck(command="test -e /x"),
        UnitCheck(unit="radio.service", timeout=15, warn=True),
    )
    assert check_lines(checks) == (
        "unit\tcaddy.service\t-\t60\ntcp\t443\t-\t5\nhttp\thttps://{address}/\t302\t60\ncommand\ttest -e /x\t-\t60\n"
        "unit\tradio.service\t-\t15\twarn\n"
    )


def test_a_system_deploys_again_for_a_new_closure_guest_or_drift() -> None:
    def environment(**more: object) -> dict[str, object]:
        args = NixosSystemArgs.model_validate({"hostname": "web", "flake": "web", "desired": "d1", "operator": OPERATOR, **more})
        return record(lambda: NixosSystem("web", args)).one("Command", "web").environment

    base = environment()
    for change in ({"desired": "d2"}, {"instance": "BC:24:11:00:00:09"}, {"drift": "runs another"}, {"flake": "other"}):
        assert environment(**change) != base, change
    assert environment() == base


def test_a_drift_that_is_gone_is_no_change_of_its_own() -> None:
    def ignored(drift: str | None) -> tuple[str, ...]:
        args = NixosSystemArgs(hostname="web", flake="web", desired="d", drift=drift, operator=OPERATOR)
        return record(lambda: NixosSystem("web", args)).one("Command", "web").ignore_changes

    assert ignored(None) == ("environment.AETHER_DRIFT",)
    assert ignored("runs another") == ()


def test_a_component_hands_its_dependencies_to_its_children() -> None:
    def program() -> None:
        first = NixosSystem("first", NixosSystemArgs(hostname="first", flake="first", desired="d", operator=OPERATOR))
        NixosSystem(
            "second",
            NixosSystemArgs(hostname="second", flake="second", desired="d", operator=OPERATOR),
            opts=pulumi.ResourceOptions(depends_on=[first]),
        )

    second = record(program).one("Command", "second")
    assert any(urn.endswith("command:local:Command::first") for urn in second.depends_on)


def test_outputs_are_unknown_in_a_first_preview() -> None:
    seen: list[object] = []

    def program() -> None:
        system = NixosSystem("web", NixosSystemArgs(hostname="web", flake="web", desired="d", operator=OPERATOR))
        system.generation.apply(seen.append)

    record(program, preview=True, outputs=lambda kind, name: {"stdout": pulumi.UNKNOWN} if kind.endswith("Command") else {})
    assert seen in ([], [0], [1]), seen


def test_a_playbook_runs_the_script_with_secrets_kept_secret() -> None:
    args = PlaybookArgs(
        host="router",
        playbook="vyos.yml",
        content={"sources": {"ansible/vyos.yml": "aabb"}},
        inventory="inventory/homelab.toml",
        variables={"colour": "blue"},
        secret_environment={"AETHER_TOKEN": "hunter2"},
        operator=OPERATOR,
    )
    recording = record(lambda: Playbook("router", args))
    command = recording.one("Command", "router")
    assert command.inputs["create"] == "components/ansible/scripts/playbook.sh"
    assert command.environment["AETHER_PLAYBOOK"] == "vyos.yml"
    assert command.environment["AETHER_VAR_colour"] == "blue"
    assert command.inputs["stdin"] == "sources: ansible/vyos.yml: aabb\n"
    assert "AETHER_TOKEN" in recording.secrets["router"]


def test_an_atomic_host_wants_a_digest_and_ends_signed() -> None:
    args = AtomicHostArgs(hostname="desk", image="ghcr.io/o/i", digest=DIGEST, operator=OPERATOR)
    environment = record(lambda: AtomicHost("desk", args)).one("Command", "desk").environment
    assert environment["AETHER_DIGEST"] == DIGEST
    assert environment["AETHER_SIGNED"] == "yes"
    with pytest.raises(ValidationError):
        AtomicHostArgs(hostname="desk", image="ghcr.io/o/i", operator=OPERATOR)  # type: ignore[call-arg]


def test_a_home_is_one_playbook_on_its_host() -> None:
    args = HomeBootstrapArgs(
        home=Home(configuration="me@desk"), content={}, inventory="inventory/homelab.toml", operator=OPERATOR
    )
    recording = record(lambda: HomeBootstrap("desk", args))
    assert recording.children("desk", "HomeBootstrap") == ["aether:ansible:Playbook"]
    assert recording.one("Command", "desk-home").environment["AETHER_HOST"] == "desk"


@pytest.fixture
def ansible(tmp_path: Path) -> Path:
    files = {
        "web.yml": "- hosts: all\n  roles:\n    - web\n",
        "other.yml": "- hosts: all\n  roles:\n    - role: other\n",
        "roles/web/tasks/main.yml": "- ansible.builtin.include_role:\n    name: common\n",
        "roles/common/templates/motd.j2": "{{ aether_site.domain }}",
        "roles/other/tasks/main.yml": "[]",
    }
    for name, text in files.items():
        (tmp_path / "ansible" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "ansible" / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "web", "other"),
    [("roles/common/templates/motd.j2", True, False), ("roles/other/tasks/main.yml", False, True), ("web.yml", True, False)],
)
def test_a_changed_role_runs_the_playbooks_that_use_it(ansible: Path, file: str, web: bool, other: bool) -> None:
    def both() -> tuple[dict[str, Any], dict[str, Any]]:
        return tuple(playbook_content(Playbooks(ansible), name, {}, {"aether_site": {}}) for name in ("web.yml", "other.yml"))  # type: ignore[return-value]

    before = both()
    path = ansible / "ansible" / file
    path.write_text(path.read_text() + "\n# changed")
    after = both()
    assert (after[0] != before[0], after[1] != before[1]) == (web, other)


def test_a_variable_counts_for_the_playbooks_that_mention_it(ansible: Path) -> None:
    def content(playbook: str, domain: str) -> dict[str, Any]:
        return playbook_content(Playbooks(ansible), playbook, {}, {"aether_site": {"domain": domain}})

    assert content("web.yml", "a") != content("web.yml", "b")
    assert content("other.yml", "a") == content("other.yml", "b")


def test_a_field_counts_for_the_playbooks_that_mention_it(ansible: Path) -> None:
    template = ansible / "ansible/roles/web/tasks/main.yml"
    template.parent.mkdir(parents=True, exist_ok=True)
    template.write_text("- debug: msg={{ aether_hosts.values() | map(attribute='address') | list }}\n")

    def content(**host: str) -> dict[str, Any]:
        facts = {"address": "192.168.1.2", "digest": "sha256:1", **host}
        return playbook_content(Playbooks(ansible), "web.yml", {}, {"aether_hosts": {"desk": facts}})

    assert content() != content(address="192.168.1.3")
    assert content() == content(digest="sha256:2")


@pytest.mark.parametrize(
    ("reads", "changed", "runs"),
    [
        ("'/../nix/pki/a.pub'", "a.pub", True),
        ("'/../nix/pki/a.pub'", "b.crt", False),
        ("'/../nix/pki/*.pub'", "new.pub", True),
        ("'/../nix/pki/*.pub'", "b.crt", False),
        ("'/../nix/pki/' ~ name", "b.crt", True),
    ],
)
def test_a_changed_key_runs_the_playbooks_that_read_it(ansible: Path, reads: str, changed: str, runs: bool) -> None:
    (ansible / "ansible/roles/web/defaults").mkdir()
    (ansible / "ansible/roles/web/defaults/main.yml").write_text(f"key: \"{{{{ lookup('file', playbook_dir ~ {reads}) }}}}\"\n")
    (ansible / "nix/pki").mkdir(parents=True)
    for name in ("a.pub", "b.crt"):
        (ansible / "nix/pki" / name).write_text("before\n")

    def both() -> list[dict[str, Any]]:
        return [playbook_content(Playbooks(ansible), name, {}, {}) for name in ("web.yml", "other.yml")]

    before = both()
    (ansible / "nix/pki" / changed).write_text("after, and longer\n")
    assert [old != new for old, new in zip(before, both(), strict=True)] == [runs, False]


def test_a_missing_role_is_named(ansible: Path) -> None:
    (ansible / "ansible/web.yml").write_text("- hosts: all\n  roles: [nobody]\n")
    with pytest.raises(FileNotFoundError, match=r"ansible/roles/nobody does not exist, and ansible/web.yml uses it"):
        playbook_content(Playbooks(ansible), "web.yml", {}, {})


def test_one_guest_more_sets_no_node_up_again() -> None:
    """A node is told of the networks of its guests, and of no guest: its playbook takes half a minute."""
    _, words = Playbooks(REPOSITORY).brings("proxmox.yml")
    assert b"aether_guest_networks" in words and b"aether_hosts" not in words
