"""secrets/: with the real sops and age, on a small repository of its own; and the state of this repository's files."""

import io
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from inventory import agekey, sops
from inventory.cli import main
from inventory.generate import UNSET, read_names
from inventory.keys import new_ssh_key, set_fields
from inventory.load import InventoryError, load, load_all
from inventory.rules.files import sops_keys, sops_recipients
from inventory.secret_facts import HOST_KEY, HOST_KEY_PUB, declared
from inventory.secret_store import SecretStore, SecretStoreError
from inventory.syncthing import CERT, KEY, check_device_id, device_id, new_identity
from tests.unit.secrets_repository import ROOT, needs_sops, repository, run, values_of

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
def test_a_nodes_key_is_the_machines_own(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its owner installed it: what the inventory says of it is right, whatever a file holds."""
    assert run("init") == 0
    set_fields(repository / "inventory/lab.toml", "nodes.metal", {"host_key": new_ssh_key("metal")[1]})
    run("check")
    assert "metal" not in capsys.readouterr().out.split("written")[-1]
    set_fields(repository / "inventory/lab.toml", "hosts.web", {"host_key": new_ssh_key("web")[1]})
    run("check")
    assert "is not host_key of 'web'" in capsys.readouterr().out


def test_a_device_id_is_the_certificates() -> None:
    """Against an id that `syncthing --device-id` printed for this certificate."""
    certificate, known = (
        """-----BEGIN CERTIFICATE-----
MIIBtDCCAVqgAwIBAgIUFvx2qecnPjlbWzAeGyNj2MWgA8MwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJc3luY3RoaW5nMB4XDTI2MTEyNjAxMzExM1oXDTQ2MTEyMTAx
MzExM1owFDESMBAGA1UEAwwJc3luY3RoaW5nMFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAEbL123q8E5OZYbBz38/zDLBqPvI7Uex3gUwHNdyLwZMwYUkd6ifw9kFdI
v4r6NtIZNvz64Vfgv2IPNmMSd0vLQqOBiTCBhjAdBgNVHQ4EFgQU+yvhM6iX/CEj
Y/y6vxisCQYieagwHwYDVR0jBBgwFoAU+yvhM6iX/CEjY/y6vxisCQYieagwDwYD
VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglzeW5jdGhpbmcwHQYDVR0lBBYwFAYI
KwYBBQUHAwEGCCsGAQUFBwMCMAoGCCqGSM49BAMCA0gAMEUCIE59bmlNvJ2/1vWH
M93hm8+TpvbsuOtbC1gWUdGE1YhfAiEAzmt83IBn4q4ux+7TdYtfBixl1UW8cihe
V4+g7Ouci7A=
-----END CERTIFICATE-----
""",
        "XHYR6XW-GGPLH3Z-MOSNLSB-USPKTU5-DYVDJDH-SGG52EO-MLDJV36-SJD4ZA4",
    )
    assert device_id(certificate) == known
    assert check_device_id(known) is None
    assert check_device_id(known[:3] + ("A" if known[3] != "A" else "B") + known[4:]) is not None


def test_a_new_identity_is_one_that_syncthing_takes(tmp_path: Path) -> None:
    certificate, key = new_identity()
    for name, text in (("cert.pem", certificate), ("key.pem", key)):
        (tmp_path / name).write_text(text)
    shown = [
        "openssl",
        "x509",
        "-noout",
        "-subject",
        "-ext",
        "subjectAltName,extendedKeyUsage",
        "-in",
        str(tmp_path / "cert.pem"),
    ]
    told = subprocess.run(shown, capture_output=True, text=True, check=True).stdout
    assert re.search("CN ?= ?syncthing", told) and "DNS:syncthing" in told and "Client Authentication" in told
    public = [
        subprocess.run(["openssl", *words, "-in", tmp_path / name], capture_output=True, check=True).stdout
        for words, name in ((["x509", "-noout", "-pubkey"], "cert.pem"), (["ec", "-pubout"], "key.pem"))
    ]
    assert public[0] == public[1], "the key is another one's"


@needs_sops
def test_a_host_is_given_a_device_that_the_inventory_names(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("init") == 0
    assert run("syncthing", "web") == 0
    held = SecretStore(repository / "secrets", repository / "owner").read("hosts/web.yaml")
    web = load("inventory/lab.toml").hosts["web"]
    assert web.syncthing_id == device_id(held[CERT]) and "PRIVATE KEY" in held[KEY]
    assert run("check") == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO(new_identity()[0]))
    assert run("set", "web", CERT) == 0
    capsys.readouterr()
    assert run("check") == 1
    assert "./aether secrets syncthing web" in capsys.readouterr().out
    assert run("syncthing", "metal") == 1
    (repository / "new.pub").write_text(new_ssh_key()[1])
    arguments = ["secrets", "--file", "inventory/lab.toml", "--key-file", "new"]
    assert main([*arguments, "init", "--new-owner", "--ssh-key", "new.pub"]) == 0
    renewed = load("inventory/lab.toml").hosts["web"].syncthing_id
    assert (
        renewed
        == device_id(SecretStore(repository / "secrets", repository / "new").read("hosts/web.yaml")[CERT])
        != web.syncthing_id
    )
    assert main([*arguments, "check"]) == 0


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


@needs_sops
def test_a_nodes_own_key_is_never_replaced(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It was scanned: neither a rotation nor the first keys of the repository write another one over it."""
    nodes = tomllib.loads((repository / "inventory/lab.toml").read_text())["nodes"]
    node = next(iter(nodes))
    scanned = [nodes[node]["host_key"]]
    assert run("init") == 0
    assert [load("inventory/lab.toml").nodes[node].host_key] == scanned
    capsys.readouterr()
    assert run("rotate", node) == 1
    assert "its key is the machine's own" in capsys.readouterr().err
    assert [load("inventory/lab.toml").nodes[node].host_key] == scanned
    assert run("check") == 0


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
