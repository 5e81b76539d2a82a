"""The files below secrets/: what the inventory names is there, encrypted, to whom it says; this repository's, too."""

import re
from pathlib import Path

import pytest

from inventory import sops
from inventory.generate import read_names
from inventory.keys import set_fields
from inventory.load import InventoryError, load, load_all
from inventory.rules.files import sops_keys, sops_recipients
from inventory.secret_facts import HOST_KEY, HOST_KEY_PUB, declared
from inventory.secret_store import SecretStore
from tests.unit.secrets_repository import ROOT, repository

__all__ = ["repository"]


def test_files_that_sops_did_not_encrypt_are_refused(repository: Path) -> None:
    path = repository / "secrets" / "hosts" / "web.yaml"
    path.parent.mkdir()
    path.write_text("password: hunter2\n")
    with pytest.raises(InventoryError) as raised:
        load("inventory/lab.toml")
    (problem,) = raised.value.problems
    assert problem.code == "plain-text-file" and "sops encrypt" in problem.fix and "hunter2" not in str(problem)
    path.write_text("password: hunter2\nother: ENC[AES256_GCM,data:x]\nsops:\n    age: []\n")
    with pytest.raises(InventoryError) as raised:
        load("inventory/lab.toml")
    assert [(p.code, p.field, p.line) for p in raised.value.problems] == [("plain-text-file", "password", 1)]


@pytest.mark.parametrize(
    ("old", "new", "code", "fix"),
    [
        ('["hosts/web.yaml"]', '["hosts/wep.yaml"]', "no-such-secret", "secrets init web"),
        ('["hosts/web.yaml"]', '["../owner"]', "secret-outside", 'write "hosts/web.yaml"'),
        ('kind = "atomic"', 'kind = "ansible"\nos = "fedora"\nplaybook = "dekstop.yml"', "no-such-playbook", "desktop.yml"),
        ('["hosts/web.yaml"]', '["hosts/web.yaml"]\nsecurity = "hardened"', "exclusive-security", 'security = "relaxed"'),
    ],
)
def test_files_that_the_inventory_names(repository: Path, old: str, new: str, code: str, fix: str) -> None:
    path = repository / "inventory" / "lab.toml"
    text = path.read_text().replace(old, new)
    if code == "no-such-playbook":
        text = text.replace('image = "ghcr.io/example/desk"\n', "")
    if code == "exclusive-security":
        (repository / "nix" / "hosts" / "metal").mkdir(parents=True)
        nix = repository / "nix" / "hosts" / "metal" / "web.nix"
        nix.write_text("{ aether.security.relaxed.enable = true; }")
    (repository / "ansible").mkdir()
    for name in ("desktop.yml", "proxmox.yml"):
        (repository / "ansible" / name).touch()
    path.write_text(text)
    with pytest.raises(InventoryError) as raised:
        load(path)
    assert any(problem.code == code and fix in problem.fix for problem in raised.value.problems), str(raised.value)


def test_editing_keeps_comments_order_and_neighbours(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('# top\n[a.b] # table\nkeys = [\n  "1", # one\n] # list\nx = 1\n\n# next\n[a.c]\nkeys = ["9"]\n')
    set_fields(path, "a.b", {"keys": ["2", "3"], "new": "n"})
    assert path.read_text() == (
        '# top\n[a.b] # table\nkeys = ["2", "3"] # list\nx = 1\nnew = "n"\n\n# next\n[a.c]\nkeys = ["9"]\n'
    )
    with pytest.raises(ValueError, match=r"no table \[a\.d\]"):
        set_fields(path, "a.d", {"x": "y"})


def test_names_that_nix_declares(tmp_path: Path) -> None:
    folder = tmp_path / "nix" / "hosts" / "oracle"
    (folder / "gateway").mkdir(parents=True)
    (folder / "gateway" / "default.nix").write_text("{ aether.secrets.one = { }; }")
    (folder / "gateway" / "vpn.nix").write_text('aether.secrets."two".owner = "x"; aether.secrets.${name} = { };')
    (folder / "dns.nix").write_text("aether.secrets.three = { };")
    assert declared(tmp_path, "gateway") == {"one", "two"}
    assert declared(tmp_path, "dns") == {"three"}
    assert declared(tmp_path, "oracle") == set()


def test_this_repositorys_files_are_readable_by_whom_the_inventory_says() -> None:
    inventories = load_all([ROOT / "inventory" / name for name in ("homelab.toml", "cloud.toml", "staging.toml")])
    for file, recipients in sops.readers(inventories).items():
        text = (ROOT / "secrets" / file).read_text()
        assert set(sops_recipients(text)) == set(recipients), file
        if file.startswith("hosts/"):
            assert {HOST_KEY, HOST_KEY_PUB} <= set(sops_keys(text)), file
            assert declared(ROOT, Path(file).stem) <= set(sops_keys(text)), file
    assert (ROOT / ".sops.yaml").read_text() == sops.config(inventories)


def test_this_repositorys_names_are_made_by_kinds_that_there_are() -> None:
    assert read_names(ROOT / "secrets").kind("gateway/wireguard-private-key") == "wireguard"
    assert read_names(ROOT / "secrets").kind("gateway/what-nobody-named") == "hex"


def test_what_only_the_owner_knows_is_documented() -> None:
    names, store = read_names(ROOT / "secrets"), SecretStore(ROOT / "secrets")
    held = [
        (Path(file).stem, ".".join(path)) for file in store.files() if file.startswith("hosts/") for path in store.leaves(file)
    ]
    table = (ROOT / "docs" / "inventory.md").read_text().partition("What only you can know")[2].partition("Your private key")[0]
    documented = set(re.findall(r"^\| (\S+) \| `(\S+)` \|", table, re.MULTILINE))
    assert documented == {(host, key) for host, key in held if names.kind(f"{host}/{key}") == "ask"}
