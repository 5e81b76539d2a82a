"""Secrets from a KeePassXC database, made here by pykeepass: by Ansible itself once, then by the lookup alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ansible.conftest import REPO
from tests.ansible.rendering import run

PASSWORD = "of the owner"


@pytest.fixture
def database(tmp_path: Path) -> dict[str, str]:
    """A database with a password and a key file; the environment that opens it."""
    pykeepass = pytest.importorskip("pykeepass")
    file, key = tmp_path / "owner.kdbx", tmp_path / "owner.key"
    key.write_bytes(bytes(range(32)))
    made = pykeepass.create_database(str(file), password=PASSWORD, keyfile=str(key))
    group = made.add_group(made.add_group(made.root_group, "aether"), "smith-files")
    made.add_entry(group, "samba-password", "samba", "from-the-database")
    made.save()
    # No sops file holds it.
    opens = {"AETHER_KEEPASS": str(file), "AETHER_KEEPASS_PASSWORD": PASSWORD, "AETHER_KEEPASS_KEY": str(key)}
    return {"AETHER_SECRETS": str(tmp_path / "none"), **opens}


@pytest.fixture
def lookup(database: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The repository's lookup, with the database in the environment."""
    from ansible.parsing.dataloader import DataLoader
    from ansible.plugins.loader import lookup_loader

    for name, value in database.items():
        monkeypatch.setenv(name, value)
    lookup_loader.add_directory(str(REPO / "ansible/lookup_plugins"))
    yield lookup_loader.get("aether_secret", loader=DataLoader(), templar=None)


def asked(lookup: Any, host: str = "smith-files", **options: bool) -> str:
    (value,) = lookup.run(["samba-password"], variables={"inventory_hostname": host}, **options)
    return str(value)


def test_a_role_is_given_its_hosts_entry(tmp_path: Path, database: dict[str, str]) -> None:
    content = "{{ lookup('aether_secret', 'samba-password') }}"
    task: dict[str, object] = {"ansible.builtin.copy": {"content": content, "dest": "{{ out }}"}, "no_log": True}
    done, out = run(tmp_path, "smith-files", [task], env=database)
    assert done.code == 0, done.output
    assert out == "from-the-database"


def test_a_host_is_given_no_others_entry(lookup: Any) -> None:
    assert asked(lookup) == "from-the-database"
    assert asked(lookup, "smith-storage") == ""


def test_what_the_environment_says_comes_first(lookup: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AETHER_SECRET_SAMBA_PASSWORD", "first")
    assert asked(lookup) == "first"


def test_one_that_nobody_named_is_not_looked_for(lookup: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AETHER_KEEPASS")
    assert asked(lookup) == ""


@pytest.mark.parametrize("without", ["AETHER_KEEPASS_PASSWORD", "AETHER_KEEPASS_KEY"])
def test_half_of_what_opens_it_says_what_to_set(lookup: Any, monkeypatch: pytest.MonkeyPatch, without: str) -> None:
    from ansible.errors import AnsibleError

    monkeypatch.setenv(without, "")
    with pytest.raises(AnsibleError, match=r"cannot be opened: set AETHER_KEEPASS_PASSWORD, AETHER_KEEPASS_KEY") as raised:
        asked(lookup, required=True)
    assert PASSWORD not in str(raised.value)


def test_a_database_that_is_not_there_is_named(lookup: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from ansible.errors import AnsibleError

    monkeypatch.setenv("AETHER_KEEPASS", str(tmp_path / "other.kdbx"))
    with pytest.raises(AnsibleError, match=r"other\.kdbx is not there"):
        asked(lookup, required=True)
