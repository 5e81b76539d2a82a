"""The rights of the Proxmox token: what an inventory uses decides, and the printed commands say exactly that."""

import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest

from inventory import proxmox_rights
from inventory.load import load
from inventory.proxmox_rights import Use, grants, rights
from ops.progress import ProgressPrinter
from ops.proxmox import command, role_lines
from ops.stack import Stack
from tests.unit.engine_events import said as event

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def homelab(version: int = 9) -> Use:
    return Use.of(load(REPOSITORY / "inventory/homelab.toml").content.model_dump(), version)


def tables(**guest: Any) -> dict[str, Any]:
    return {"nodes": {"one": {}}, "networks": {"servers": {}}, "hosts": {"web": {"node": "one", "disks": [{}], **guest}}}


def names(use: Use) -> set[str]:
    return {right.privilege for right in rights(use)}


def test_containers_alone_need_nothing_of_virtual_machines() -> None:
    use = Use.of(tables(kind="nixos-lxc"))
    assert "VM.Config.Network" in names(use)
    assert not names(use) & {"VM.Config.HWType", "VM.Config.Cloudinit", "VM.GuestAgent.Audit", "Mapping.Use", "Sys.Modify"}


def test_a_start_order_of_a_virtual_machine_needs_the_cluster() -> None:
    ordered = Use.of(tables(kind="nixos-vm", start_order=1))
    assert [grant for grant in grants(ordered) if grant.path == "/"] == [
        proxmox_rights.Grant("/", "AetherCluster", ("Sys.Modify", "Sys.Audit"), propagate=False)
    ]
    assert "Sys.Modify" not in names(Use.of(tables(kind="nixos-lxc", start_order=1)))


def test_the_guest_agent_is_another_privilege_in_version_8() -> None:
    assert "VM.GuestAgent.Audit" in names(homelab(9))
    assert "VM.Monitor" not in names(homelab(9))
    assert "VM.Monitor" in names(homelab(8))
    assert "VM.GuestAgent.Audit" not in names(homelab(8))


def test_paths_are_those_of_the_inventory() -> None:
    use = Use.of({**tables(kind="nixos-vm"), "networks": {"servers": {"bridge": "vmbr1", "vlan": 30}}})
    paths = {grant.path for grant in grants(use)}
    assert paths == {"/", "/vms", "/nodes", "/storage/local-zfs", "/storage/local", "/sdn/zones/localnetwork/vmbr1/30"}


def test_tables_and_models_say_the_same() -> None:
    path = REPOSITORY / "inventory/homelab.toml"
    assert grants(Use.of(tomllib.loads(path.read_text()))) == grants(homelab())


def test_the_commands_give_user_and_token_the_same_roles() -> None:
    lines = role_lines(homelab(), "homelab")
    words = [shlex.split(line) for line in lines if not line.startswith("#")]
    made = {line[3] for line in words if line[:3] == ["pveum", "role", "add"]}
    given = {
        who: {(line[3], line[7]) for line in words if line[:3] == ["pveum", "acl", "modify"] and line[5] == who}
        for who in ("aether@pve", "aether@pve!pulumi")
    }
    assert given["aether@pve"] == given["aether@pve!pulumi"]
    assert {role for _, role in given["aether@pve"]} == made
    assert ["pveum", "user", "token", "add", "aether@pve", "pulumi", "--privsep", "1"] in [line[:8] for line in words]
    assert words[-1][:6] == ["pulumi", "-s", "homelab", "config", "set", "--secret"]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (
            "received an HTTP 403 response - Reason: Permission check failed (/vms/110, VM.Config.Disk)",
            "the Proxmox token lacks VM.Config.Disk on /vms/110; give it what `./aether proxmox role` prints",
        ),
        (
            "received an HTTP 403 response - Reason: Permission check failed",
            "the Proxmox token lacks a right that Proxmox does not name; for a new guest that is VM.Allocate on /vms",
        ),
        (
            "received an HTTP 500 response - Reason: only root can set 'usb0' config for real devices",
            "Proxmox lets only its login root@pam do this, and no token",
        ),
        (
            "403 - Permission check failed (changing feature flags (except nesting) is only allowed for root@pam)",
            "Proxmox lets only its login root@pam do this, and no token",
        ),
        (
            'Get "https://127.1.0.1:8006/": tls: failed to verify certificate: x509: certificate signed by unknown',
            "the certificate of the Proxmox API is not signed by the authority in aether:proxmoxCa",
        ),
    ],
)
def test_a_missing_right_is_named_with_its_path(said: str, meant: str, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as out:
        printer = ProgressPrinter({"web": "one"}, out)
        printer.feed(event("error", f"creating VM: {said}", "web", "proxmoxve:index/vmLegacy:VmLegacy"))
    assert printer.failures()[0].startswith(f"web: {meant}")


def test_on_a_simulated_cluster_it_says_how_the_rights_are_given(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody is root on one of its nodes' consoles to run pveum."""
    assert command(Stack("sim"), ["role", "--update"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "./aether sim restart --stack sim"
    assert command(Stack("homelab"), ["role", "--update"]) == 0
    assert "sim restart" not in capsys.readouterr().out
