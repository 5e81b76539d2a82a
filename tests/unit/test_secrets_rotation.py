"""Secrets with an age: what is old is rotated, and who leaves reads nothing new."""

import io
import re
from pathlib import Path

import pytest

from inventory import agekey
from inventory.keys import new_ssh_key, set_fields
from inventory.load import load, load_all
from inventory.secret_facts import HOST_KEY
from inventory.secret_store import SecretStore, SecretStoreError
from tests.unit.secrets_repository import needs_sops, repository, run, values_of

__all__ = ["repository"]

NAMES = """
[make]
"*/token" = "ask"
[same]
groups = [["web/oidc-a", "dns/oidc-b"]]
[rotate]
names = ["*/oidc-*", "*/token"]
[opens]
"*/oidc-*" = "logins"
"""


@pytest.fixture
def aged(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Hosts with secrets: two sides of one, one that encrypts, one that only the owner knows."""
    (repository / "secrets/names.toml").write_text(NAMES)
    assert run("init") == 0
    for host, key in (("web", "oidc-a"), ("dns", "oidc-b"), ("web", "restic-password"), ("web", "token")):
        monkeypatch.setattr("sys.stdin", io.StringIO("value"))
        assert run("set", host, key) == 0
    return repository


@needs_sops
def test_every_secret_has_an_age_readers_and_what_it_opens(aged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = aged / "secrets/made.toml"
    made.write_text("".join(line for line in made.read_text().splitlines(keepends=True) if "restic" not in line))
    capsys.readouterr()
    assert run("list") == 0
    listed = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert re.search(r" 0 d  read by .*web.*; opens logins$", listed["web/oidc-a"])
    assert "not known" in listed["web/restic-password"] and "value" not in "".join(listed.values())
    assert "web itself" in listed[f"web/{HOST_KEY}"]
    assert run("check") == 0, "the dates are no secret"


@needs_sops
def test_what_is_old_is_rotated_on_both_sides_and_the_rest_is_named(aged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = values_of(aged, "web")
    assert run("rotate", "--older", "90d") == 0
    assert values_of(aged, "web") == before, "nothing is that old"
    made = aged / "secrets/made.toml"
    made.write_text(re.sub(r"\d{4}-\d\d-\d\d", "2020-01-01", made.read_text()))
    capsys.readouterr()
    assert run("rotate", "--older", "90d", "--dry-run") == 0
    assert "web/oidc-a: would be rotated" in capsys.readouterr().out and values_of(aged, "web") == before
    assert run("rotate", "--older", "90d") == 0
    told = capsys.readouterr().out
    after, other = values_of(aged, "web"), values_of(aged, "dns")
    assert after["oidc-a"] == other["oidc-b"] not in ("value", before["oidc-a"])
    assert {key: after[key] for key in after if key != "oidc-a"} == {key: before[key] for key in before if key != "oidc-a"}
    assert "web/restic-password: left as it is" in told and "web/token: left as it is" in told and "Deploy dns, web" in told
    assert run("rotate", "--older", "90d") == 0
    assert "rotated" not in capsys.readouterr().out, "they are new now"
    assert (run("rotate"), run("rotate", "web", "--older", "1d")) == (1, 1)


@needs_sops
def test_who_leaves_reads_nothing_new_and_is_told_to_have_seen_all(aged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    private, public = new_ssh_key("ada")
    inventory = aged / "inventory/lab.toml"
    site = load_all([inventory], aged / "secrets")[0].site
    assert run("leave", "nobody") == 1
    owners = [*site.age_recipients, agekey.recipient(public)]
    set_fields(inventory, "site", {"authorized_keys": [*site.authorized_keys, f"{public} ada"], "age_recipients": owners})
    assert run("rekey") == 0
    SecretStore(aged / "secrets", aged / "owner").create("notify.yaml", {"urls": "x"}, owners)
    (aged / "ada").write_text(private)
    assert SecretStore(aged / "secrets", aged / "ada").read("hosts/web.yaml")["oidc-a"] == "value"
    capsys.readouterr()
    assert run("leave", "ada") == 0
    told = capsys.readouterr().out
    for file in ("hosts/web.yaml", "notify.yaml"):
        with pytest.raises(SecretStoreError):
            SecretStore(aged / "secrets", aged / "ada").read(file)
    left = load(inventory).site
    assert (left.authorized_keys, left.age_recipients) == (site.authorized_keys, site.age_recipients)
    assert "web/oidc-a (opens logins): ./aether secrets rotate --older 0d" in told and "notify/urls" in told
    assert run("check") == 0
    assert run("leave", site.authorized_keys[0].split()[-1], "--recipient", site.age_recipients[0]) == 1
    assert "nobody could log in or read" in capsys.readouterr().err
