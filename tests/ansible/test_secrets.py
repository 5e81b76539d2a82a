"""A secret that a role cannot do without: one spelling everywhere, and the play stops before it changes anything."""

import json
import re
from pathlib import Path

import yaml

from inventory.generate import UNSET, read_names
from inventory.load import load
from inventory.rolesecrets import needed
from inventory.rules.files import sops_keys
from tests.ansible.conftest import REPO
from tests.ansible.rendering import KEY, run

LOOK: dict[str, object] = {"ansible.builtin.import_tasks": "tasks/secrets.yml"}
PUBLIC_GATEWAY = {"AETHER_SECRET_WIREGUARD_PRIVATE_KEY": KEY, "AETHER_SECRET_TAILSCALE_AUTH_KEY": "tskey-auth-x"}


def test_what_roles_need_is_what_the_files_hold() -> None:
    assert needed(REPO / "ansible", "public-gateway.yml") == ("tailscale-auth-key", "wireguard-private-key")
    for file in ("homelab.toml", "cloud.toml"):
        for name, host in load(REPO / "inventory" / file).hosts.items():
            wanted = needed(REPO / "ansible", getattr(host, "playbook", None), host.tags)
            path = REPO / "secrets/hosts" / f"{name}.yaml"
            assert set(wanted) <= set(sops_keys(path.read_text()) if wanted else []), name


def test_only_the_role_that_a_host_s_tags_ask_for_needs_its_secret() -> None:
    assert needed(REPO / "ansible", "smith.yml", ["nfs"]) == ()
    assert needed(REPO / "ansible", "smith.yml", ["samba"]) == ("samba-password",)


def test_a_new_owner_gets_a_key_and_its_public_half() -> None:
    names = read_names(REPO / "secrets")
    assert names.kind("public-gateway/wireguard-private-key") == "wireguard"
    assert names.kind("public-gateway/tailscale-auth-key") == "ask"
    assert names.public_file("public-gateway/wireguard-private-key") == "nix/pki/public-gateway-wireguard.pub"


def test_every_playbook_whose_roles_need_secrets_looks_for_them_first() -> None:
    for book in sorted((REPO / "ansible").glob("[a-z]*.yml")):
        if needed(REPO / "ansible", book.name, ("samba", "nfs", "backup")):
            (play,) = yaml.safe_load(book.read_text())
            assert play["pre_tasks"][0]["ansible.builtin.import_tasks"] == "tasks/secrets.yml", book


def test_no_role_leaves_a_part_out_for_want_of_a_secret() -> None:
    """Either a role cannot do without it, or somebody asks for the part by name, and then it is needed."""
    for defaults in sorted((REPO / "ansible/roles").glob("*/defaults/main.yml")):
        for call in re.findall(r"lookup\('aether_secret', [^}]*\)", defaults.read_text()):
            assert "required=" in call, f"{defaults}: {call}"


def test_every_missing_secret_stops_the_play_with_what_to_write(tmp_path: Path) -> None:
    done, _ = run(tmp_path, "public-gateway", [LOOK], env={"AETHER_SECRETS": str(tmp_path)})
    text = " ".join(done.output.split())
    assert done.code != 0
    for key in ("wireguard-private-key", "tailscale-auth-key"):
        assert f"write a line `{key}: …` with `sops {tmp_path}/hosts/public-gateway.yaml`" in text, done.output
    unset = {**PUBLIC_GATEWAY, "AETHER_SECRET_TAILSCALE_AUTH_KEY": UNSET, "AETHER_SECRETS": str(tmp_path)}
    done, _ = run(tmp_path, "public-gateway", [LOOK], env=unset)
    assert done.code != 0 and "secret 'tailscale-auth-key' of host 'public-gateway' is nowhere, or not set yet" in " ".join(
        done.output.split()
    )
    done, _ = run(tmp_path, "public-gateway", [LOOK], env=PUBLIC_GATEWAY)
    assert done.code == 0, done.output
    assert KEY not in done.output and "tskey-auth-x" not in done.output


def test_the_tailnet_gives_rights_to_the_tags_that_machines_join_with(tmp_path: Path) -> None:
    acl = json.loads((REPO / "nix/hosts/oracle/gateway/tailscale-acl.json").read_text())
    write: dict[str, object] = {"ansible.builtin.copy": {"content": "{{ tailscale_tags | to_json }}", "dest": "{{ out }}"}}
    tags = json.loads(run(tmp_path, "public-gateway", [write], "tailscale", PUBLIC_GATEWAY)[1])
    assert tags == ["tag:public-gateway"]
    assert set(acl["tagOwners"]) == {*tags, "tag:gateway"}
    (grant,) = [grant for grant in acl["grants"] if grant["src"] == tags]
    assert (grant["dst"], grant["ip"]) == (["tag:gateway"], ["tcp:443"])
