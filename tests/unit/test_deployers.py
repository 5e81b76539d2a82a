"""Groups that deploy a part of the fleet: which hosts a group has, and what is refused."""

from pathlib import Path

import pytest

from inventory.load import InventoryError, Problem, load, load_all
from inventory.models import Deployers
from tests.unit.inventory_example import GOOD
from tests.unit.overlay_example import OVERLAY, written

# dns is deployed without being root, and has the tag of web, which is not.
FLEET = GOOD.replace('kind = "nixos-lxc"', 'kind = "nixos-lxc"\nssh_user = "deploy"\ntags = ["ingress"]', 1)


def problems(tmp_path: Path, group: str, text: str = FLEET) -> list[Problem]:
    (tmp_path / "lab.toml").write_text(f"{text}\n{group}")
    with pytest.raises(InventoryError) as raised:
        load(tmp_path / "lab.toml")
    return raised.value.problems


@pytest.mark.parametrize(
    ("group", "opened"),
    [('hosts = ["dns"]', ["dns"]), ('tags = ["ingress"]', ["dns"]), ('hosts = ["dns"]\ntags = ["ingress"]', ["dns"])],
)
def test_a_group_has_its_hosts_and_those_with_its_tag_that_a_certificate_opens(
    tmp_path: Path, group: str, opened: list[str]
) -> None:
    (tmp_path / "lab.toml").write_text(f"{FLEET}\n[deployers.names]\n{group}\n")
    inventory = load(tmp_path / "lab.toml")
    found = inventory.content.deployers["names"]
    assert isinstance(found, Deployers)
    assert [name for name, host in inventory.hosts.items() if found.opens(name, host)] == opened


@pytest.mark.parametrize(
    ("group", "code", "place", "fix"),
    [
        (
            '[deployers.names]\nhosts = ["web"]\n',
            "deployers-root",
            "deployers.names.hosts",
            'ssh_user = "deploy" below [hosts.web]',
        ),
        ('[deployers.names]\nhosts = ["dsn"]\n', "unknown-host", "deployers.names.hosts", "write one of dns"),
        ('[deployers.names]\ntags = ["ingres"]\n', "unknown-tag", "deployers.names.tags", "one of ingress"),
        ("[deployers.names]\n", "deployers-empty", "deployers.names.", 'hosts = ["…"]'),
        ('[deployers.names]\nhost = ["dns"]\n', "unknown-field", "deployers.names.host", 'write hosts = ["dns"]'),
    ],
)
def test_what_a_certificate_would_not_open_is_refused(tmp_path: Path, group: str, code: str, place: str, fix: str) -> None:
    found = {problem.code: problem for problem in problems(tmp_path, group)}
    assert f"{found[code].where}.{found[code].field}" == place and fix in found[code].fix
    assert found[code].line


def test_a_groups_principal_is_nobodys_account(tmp_path: Path) -> None:
    text = FLEET.replace('user = "ada"', 'user = "deploy-names"').replace("ada@desk", "deploy-names@desk")
    (problem,) = problems(tmp_path, '[deployers.names]\nhosts = ["dns"]\n', text)
    assert (problem.code, problem.where) == ("reserved-name", "deployers.names")


def test_keycloak_knows_a_group_once(tmp_path: Path) -> None:
    group = '[deployers.names]\nhosts = ["dns"]\n'
    (tmp_path / "lab.toml").write_text(f"{FLEET}\n{group}")
    other = f"{FLEET}\n{group}".replace('name = "lab"', 'name = "other"')
    (tmp_path / "other.toml").write_text(other)
    with pytest.raises(InventoryError) as raised:
        load_all([tmp_path / "lab.toml", tmp_path / "other.toml"])
    assert "duplicate-deployers" in {problem.code for problem in raised.value.problems}


def test_an_environment_has_the_groups_of_those_of_its_hosts(tmp_path: Path) -> None:
    base = FLEET.replace('tags = ["ingress"]\nhost_key', 'tags = ["ingress"]\nssh_user = "deploy"\nhost_key') + (
        '[deployers.pages]\nhosts = ["web", "dns"]\n[deployers.names]\nhosts = ["dns"]\n[deployers.all]\ntags = ["ingress"]\n'
    )
    assert base.count('ssh_user = "deploy"') == 2
    staging = load(written(tmp_path, OVERLAY, base))
    groups = staging.content.deployers
    assert sorted(groups) == ["all", "pages"] and groups["pages"].hosts == ("staging-web",)
    assert groups["all"].opens("staging-web", staging.hosts["staging-web"])
