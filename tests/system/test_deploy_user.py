"""A host that is deployed without being root, by simulated accounts, sudo and daemon. Real: tests/lab/test_deploy_user.py."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from aether_sim.testing import INVENTORY, started
from tests.system.deployed_host import DeployedByUser
from tests.system.small import running, small_checkout

pytestmark = pytest.mark.in_order("the host is given to its own account first, and back to root last")

ENTRY = "sudo -n /run/current-system/etc/aether/host 1"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeployedByUser]:
    """Deployed once: born with root's account alone, it has the other one afterwards."""
    for sim in started(tmp_path_factory.mktemp("user")):
        made = DeployedByUser(sim)
        assert not sim.answers("metal"), "what it was born with knows the account already"
        first = made.deploy()
        assert first.code == 0, first.err
        assert "does not know the account of the inventory yet: as root until its new system is there" in first.err
        yield made


def test_it_is_deployed_and_rolled_back_and_root_is_not_let_in(host: DeployedByUser) -> None:
    assert host.says("id -un") == "deploy"
    assert host.sim.ssh("metal", "true", "", "-l", "root").code == 255
    before = host.state()[0]
    done = host.deploy()
    assert done.code == 0, done.err
    assert "does not know the account" not in done.err
    assert host.state()[0] == json.loads(done.out)["closure"] != before
    back = host.deploy(script="rollback.sh", new=False)
    assert back.code == 0, back.err
    assert host.state()[0] == before
    last = json.loads(host.says("tail -n 1 /var/lib/aether/deployments.jsonl"))
    assert (last["outcome"], last["from"].startswith("127.")) == ("rolled back", True)


def test_it_reboots_and_says_how_it_is(host: DeployedByUser) -> None:
    told = json.loads(host.says(f"{ENTRY} status {host.sim.endpoints()['metal']['address']} yes"))
    assert told["unhealthy"] == [] and told["current"] == host.state()[0]
    boot = host.says("cat /proc/sys/kernel/random/boot_id")
    done = host.sim.script("components/nixos/scripts/reboot.sh", host._operator(), host.state()[0])
    assert done.code == 0, done.err
    assert "came back on it, healthy" in done.err
    assert host.says("cat /proc/sys/kernel/random/boot_id") != boot


def test_a_system_that_is_not_healthy_goes_back(host: DeployedByUser) -> None:
    before = host.state()[0]
    host.sim.fault("metal", "health")
    bad = host.deploy()
    host.sim.fault("metal", "health", off=True)
    assert bad.code in (30, 31), bad.err
    assert host.state()[0] == before


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("sudo -n id", "a password is required"),
        ("sudo -n bash -c id", "a password is required"),
        ("sudo -n -u deploy /run/current-system/etc/aether/host 1 status", "a password is required"),
        (f"{ENTRY} shell", "there is no step 'shell'"),
        (f"{ENTRY} activate metal /tmp/evil 5 me 127.0.0.1 1", "the protocol sends no '/tmp/evil' as system of activate"),
        (
            f"{ENTRY} activate metal /nix/store/{'0' * 32}-evil 5 me 127.0.0.1 1",
            "neither signed by the fleet's key nor a generation",
        ),
        (f"{ENTRY} previous 'metal; id'", "the protocol sends no 'metal; id' as hosts"),
        (f"{ENTRY} status '$(id)'", "the protocol sends no"),
        (f"{ENTRY} reboot now", "reboot takes 0 arguments"),
        ("sudo -n /run/current-system/etc/aether/host 2 status", "version 1, not 2"),
    ],
)
def test_nothing_else_is_done_for_it(host: DeployedByUser, command: str, says: str) -> None:
    done = host.sim.ssh("metal", command)
    assert done.code in (1, 2), done.out + done.err
    assert says in done.err
    assert "uid=0" not in done.out + done.err


def test_what_it_copies_has_to_be_signed(host: DeployedByUser) -> None:
    host.change()
    attribute = '.#nixosConfigurations."metal".config.system.build.toplevel'
    path = host.sim.nix("build", "--no-link", "--print-out-paths", attribute).out.strip()
    for options in ([], ["--no-check-sigs"]):
        refused = host.sim.nix("copy", *options, "--to", "ssh-ng://metal", path)
        assert refused.code == 1 and "lacks a signature by a trusted key" in refused.err
    # Nor does it sign what is there.
    key = ["--key-file", str(host.sim.state / "keys/nix-signing")]
    signed = host.sim.nix("store", "sign", "--store", "ssh-ng://metal", *key, host.state()[0])
    assert signed.code == 1 and "not privileged to add signatures" in signed.err


def test_the_way_back_to_root_is_a_deployment(host: DeployedByUser) -> None:
    host.login("root")
    host.systems += 1
    host.sim.inventory.write_text(
        INVENTORY.replace('kind = "nixos-metal"\n', f'kind = "nixos-metal"\ndescription = "{host.systems}"\n')
    )
    done = host.deploy(new=False)
    assert done.code == 0, done.err
    assert "as deploy until its new system is there" in done.err
    assert host.says("id -un") == "root"
    assert host.sim.ssh("metal", "true", "", "-l", "deploy").code == 255


def test_a_fleet_is_made_seen_drifts_and_goes_back_with_a_guest_that_nobody_is_root_on(tmp_path: Path) -> None:
    """By the commands: a container that is born, first contacted by its node, and deployed by the account from then on."""
    checkout = small_checkout(tmp_path / "a folder")
    checkout.replace("inventory/homelab.toml", "[hosts.log]\n", '[hosts.log]\nssh_user = "deploy"\n')
    for fleet in running(checkout):
        assert fleet.ssh("log", "id -un").text.strip() == "deploy"
        assert fleet.ssh("log", "sudo -n id").code == 1
        status = fleet.ops("status", "--json")
        assert status.code == 0, status.text
        assert fleet.preview().changes().get("to update", 0) == 0
        before = fleet.system("log")
        fleet.touch("log", "another system")
        up = fleet.up()
        assert up.code == 0, up.text[-4000:]
        assert fleet.system("log") != before
        drift = fleet.ops("drift")
        assert drift.code == 0, drift.text
        back = fleet.ops("rollback", "log")
        assert back.code == 0, back.text
        assert fleet.system("log") == before
        drift = fleet.ops("drift")
        assert drift.code != 0 and "log" in drift.text
        again = fleet.ops("reboot", "log")
        assert again.code == 0, again.text
