"""secrets/: with the real sops and age, on a small repository of its own; and the state of this repository's files."""

import io
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from inventory import agekey, sops
from inventory.cli import main
from inventory.generate import UNSET
from inventory.keys import new_ssh_key
from inventory.load import InventoryError, load
from inventory.rules.files import sops_recipients
from inventory.secret_facts import HOST_KEY, HOST_KEY_PUB
from inventory.secret_store import SecretStore, SecretStoreError
from tests.unit.secrets_repository import ROOT, needs_sops, repository, run

__all__ = ["repository"]


def as_host(repository: Path, host: str, reader: str) -> bool:
    """Whether READER's SSH host key decrypts HOST's file."""
    owner = SecretStore(repository / "secrets", repository / "owner")
    (repository / "key").write_text(owner.read(f"hosts/{reader}.yaml")[HOST_KEY])
    try:
        SecretStore(repository / "secrets", repository / "key").read(f"hosts/{host}.yaml")
    except SecretStoreError:
        return False
    return True


@needs_sops
def test_init_makes_what_the_inventory_asks_for(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InventoryError, match="secrets init web"):
        load("inventory/lab.toml")
    assert run("init") == 0
    web = load("inventory/lab.toml").hosts["web"]
    values = SecretStore(repository / "secrets", repository / "owner").read("hosts/web.yaml")
    assert agekey.public_key(values[HOST_KEY]) == values[HOST_KEY_PUB] == web.host_key  # type: ignore[union-attr]
    assert as_host(repository, "web", "web") and not as_host(repository, "web", "dns")
    assert "# the owner" in (repository / "inventory" / "lab.toml").read_text()
    capsys.readouterr()
    assert run("check") == 0
    assert capsys.readouterr().out.startswith("OK: "), "that nothing is wrong is said, too"
    before = (repository / "secrets" / "hosts" / "web.yaml").read_text()
    assert run("init") == 0
    assert (repository / "secrets" / "hosts" / "web.yaml").read_text() == before


@needs_sops
def test_init_takes_existing_keys(repository: Path) -> None:
    private, public = new_ssh_key()
    (repository / "keys").mkdir()
    (repository / "keys" / "web").write_text(private)
    assert run("init", "--from", "keys", "web") == 0
    assert load("inventory/lab.toml").hosts["web"].host_key == public  # type: ignore[union-attr]


@needs_sops
def test_rotate_leaves_the_old_key_without_access(repository: Path) -> None:
    assert run("init") == 0
    old = SecretStore(repository / "secrets", repository / "owner").read("hosts/web.yaml")[HOST_KEY]
    assert run("rotate", "web") == 0
    assert as_host(repository, "web", "web")
    (repository / "old").write_text(old)
    with pytest.raises(SecretStoreError):
        SecretStore(repository / "secrets", repository / "old").read("hosts/web.yaml")
    load("inventory/lab.toml")


NEW = """
[hosts.notes]
kind = "nixos-vm"
node = "metal"
vmid = 133
address = "192.168.10.33"
cpu = 1
memory = 1024
disks = [{ size = 16 }]
host_key = "ssh-ed25519 …"          # the next command fills it in
secrets = ["hosts/notes.yaml"]
"""


@needs_sops
@pytest.mark.parametrize("command", [("rotate", "notes"), ("init", "notes"), ("init",)], ids=" ".join)
@pytest.mark.parametrize(
    "line", ['host_key = "ssh-ed25519 …"          # the next command fills it in\n', ""], ids=["dots", "none"]
)
def test_a_new_host_is_given_its_keys_and_what_all_hosts_have(repository: Path, command: tuple[str, ...], line: str) -> None:
    """As README tells it: an entry without a key, then one command."""
    (repository / "secrets/names.toml").write_text((ROOT / "secrets/names.toml").read_text())
    assert run("init") == 0
    owner = SecretStore(repository / "secrets", repository / "owner")
    owner.set("hosts/web.yaml", ["operator-password-hash"], "$y$of-the-operator")
    inventory = repository / "inventory/lab.toml"
    inventory.write_text(
        inventory.read_text() + NEW.replace('host_key = "ssh-ed25519 …"          # the next command fills it in\n', line)
    )
    before = owner.read("hosts/web.yaml")
    assert run(*command) == 0
    notes = load(inventory).hosts["notes"]
    values = owner.read("hosts/notes.yaml")
    assert agekey.public_key(values[HOST_KEY]) == values[HOST_KEY_PUB] == notes.host_key  # type: ignore[union-attr]
    assert values["operator-password-hash"] == "$y$of-the-operator", "the operator's login is one, on all hosts"
    assert as_host(repository, "notes", "notes") and not as_host(repository, "web", "notes")
    assert run("check") == 0 and owner.read("hosts/web.yaml") == before
    # And from then on it has one.
    assert run("init") == 0 and load(inventory).hosts["notes"].host_key == notes.host_key  # type: ignore[union-attr]


@needs_sops
def test_the_key_of_a_machine_is_made_for_nobody_who_was_not_named(repository: Path) -> None:
    """What somebody installed has a key of its own, which is to be written."""
    assert run("init") == 0
    inventory = repository / "inventory/lab.toml"
    metal = '[hosts.den]\nkind = "nixos-metal"\naddress = "192.168.10.34"\nhost_key = "ssh-ed25519 …"\n'
    inventory.write_text(f"{inventory.read_text()}\n{metal}")
    assert run("init") == 1 and "ssh-ed25519 …" in inventory.read_text()
    assert run("rotate", "den") == 0
    assert (repository / "secrets/hosts/den.yaml").exists() and load(inventory).hosts["den"]


@needs_sops
def test_rekey_follows_the_inventory(repository: Path) -> None:
    assert run("init") == 0
    path = repository / "inventory" / "lab.toml"
    key = load(path).hosts["dns"].host_key  # type: ignore[union-attr]
    path.write_text(
        path.read_text().replace(
            "start_order = 1", f'start_order = 1\nage_recipient = "{agekey.recipient(key)}"\nsecrets = ["hosts/web.yaml"]'
        )
    )
    with pytest.raises(InventoryError, match="secrets rekey"):
        load(path)
    assert run("rekey") == 0
    load(path)
    assert as_host(repository, "web", "dns")
    assert (repository / ".sops.yaml").read_text() == sops.config([load(path)])


@needs_sops
def test_sops_itself_obeys_the_derived_configuration(repository: Path) -> None:
    assert run("init") == 0
    (repository / "plain.yaml").write_text("a: b\n")
    for file in ("secrets/hosts/web.yaml", "secrets/other.yaml"):
        done = subprocess.run(
            ["sops", "encrypt", "--filename-override", file, "plain.yaml"], capture_output=True, text=True, check=True
        )
        wanted = sops.readers([load("inventory/lab.toml")]).get(file.removeprefix("secrets/"))
        owners = list(load("inventory/lab.toml").site.age_recipients)
        assert sops_recipients(done.stdout) == (wanted or owners)


@needs_sops
def test_a_new_owner_shares_nothing_with_the_old_one(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("init") == 0
    (repository / "secrets" / "names.toml").write_text(
        '[make]\n"*/token" = "ask"\n"*/wireguard.private_key" = "wireguard"\n[same]\ngroups = [["dns/shared", "web/shared"]]\n'
    )
    store = SecretStore(repository / "secrets", repository / "owner")
    old = {"password": "old", "token": "old", "shared": "old", "wireguard": {"private_key": "old"}}
    store.add("hosts/web.yaml", old, store.recipients("hosts/web.yaml"))
    store.add("hosts/dns.yaml", {"shared": "old"}, store.recipients("hosts/dns.yaml"))
    (repository / "new.pub").write_text(new_ssh_key()[1])
    status = main(["secrets", "--file", "inventory/lab.toml", "--key-file", "new", "init", "--new-owner", "--ssh-key", "new.pub"])
    assert status == 0
    with pytest.raises(SecretStoreError):
        store.read("hosts/web.yaml")
    renewed = SecretStore(repository / "secrets", repository / "new")
    web, dns = renewed.read("hosts/web.yaml"), renewed.read("hosts/dns.yaml")
    assert len(web["password"]) == 64 and web["token"] == UNSET
    assert web["shared"] == dns["shared"] != "old"
    assert len(web["wireguard"]["private_key"]) == 44
    monkeypatch.setattr(sys, "stdin", io.StringIO("mine\n"))
    arguments = ["secrets", "--file", "inventory/lab.toml", "--key-file", "new", "set", "web", "wireguard.private_key"]
    assert main(arguments) == 0
    assert renewed.read("hosts/web.yaml")["wireguard"] == {"private_key": "mine"}
    site = load("inventory/lab.toml").site
    assert site.authorized_keys == ((repository / "new.pub").read_text(),)
    assert (repository / "new").stat().st_mode & 0o77 == 0


@needs_sops
def test_a_new_owner_gets_an_authority_of_their_own(repository: Path) -> None:
    folder = repository / "nix" / "pki"
    folder.mkdir(parents=True)
    for name in ("root_ca.crt", "openbao_ca.crt", "tunnel.pub"):
        (folder / name).write_text("old")
    (repository / "secrets" / "names.toml").write_text(
        '[make]\n"web/tunnel" = "wireguard"\n[public]\n"web/tunnel" = "nix/pki/tunnel.pub"\n'
    )
    assert run("init") == 0
    store = SecretStore(repository / "secrets", repository / "owner")
    store.set("hosts/web.yaml", ("tunnel",), "old")
    (repository / "new.pub").write_text(new_ssh_key()[1])
    arguments = ["secrets", "--file", "inventory/lab.toml", "--key-file", "new"]
    assert main([*arguments, "init", "--new-owner", "--ssh-key", "new.pub"]) == 0
    subprocess.run(
        ["openssl", "verify", "-CAfile", folder / "root_ca.crt", folder / "openbao_ca.crt"], check=True, capture_output=True
    )
    assert (repository / "pki-root.key").stat().st_mode & 0o77 == 0
    assert main([*arguments, "check"]) == 0
    (folder / "tunnel.pub").write_text("other")
    assert main([*arguments, "check"]) == 1


@needs_sops
def test_the_root_key_of_another_fleet_is_not_written_over(repository: Path) -> None:
    """Nobody could make it again."""
    (repository / "new.pub").write_text(new_ssh_key("new")[1])
    (repository / "nix/pki").mkdir(parents=True)
    (repository / "nix/pki/root_ca.crt").write_text("old")
    (repository / "pki-root.key").write_text("another fleet's")
    arguments = ["secrets", "--file", "inventory/lab.toml", "--key-file", "new"]
    assert main([*arguments, "init", "--new-owner", "--ssh-key", "new.pub"]) == 0
    assert (repository / "pki-root.key").read_text() == "another fleet's"
    assert "PRIVATE KEY" in (repository / "pki-root.key.2").read_text()


@needs_sops
def test_values_are_in_no_argument(repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    real = shutil.which("sops")
    wrapper = repository / "bin" / "sops"
    wrapper.parent.mkdir()
    wrapper.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" >> {shlex.quote(f"{repository}/argv")}\nexec {shlex.quote(str(real))} "$@"\n'
    )
    wrapper.chmod(0o755)
    monkeypatch.setattr("inventory.secret_store.tool", lambda name: str(wrapper) if name == "sops" else name)
    assert run("init", "web") == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO("hunter2-hunter2\n"))
    assert run("set", "web", "password") == 0
    assert run("list") == 0 and run("rekey") == 0
    arguments, said = (repository / "argv").read_text(), capsys.readouterr()
    private = SecretStore(repository / "secrets", repository / "owner").read("hosts/web.yaml")
    assert private["password"] == "hunter2-hunter2"
    for secret in ("hunter2", private[HOST_KEY].splitlines()[3]):
        assert secret not in arguments + said.out + said.err
