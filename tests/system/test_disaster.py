"""The disaster drill: a datacentre, its state and the operator's checkout are lost, and docs/disaster.md leads back."""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.system.checkout import Checkout, share
from tests.system.fleets import commit
from tests.system.small import HOSTS, NODES, small_checkout

# Lines of the document that the simulator has done already, or has nothing to do with, and why.
GIVEN = {
    "git clone REPOSITORY aether && cd aether": "the test clones",
    "make setup": "the environment is shared",
    ". ops/env.sh": "`aether` brings its own",
    "./aether secrets check": "the simulator makes the secrets of the fleet from its keys",
    "pulumi login BACKEND && pulumi stack init homelab": "a simulated stack makes its own",
    "./aether --stack homelab proxmox role": "the simulated cluster has the token",
    "./aether --stack homelab doctor": "is about a real stack's surroundings",
}
TOOLS = {"nixos-vm": "qm", "nixos-lxc": "pct"}


def documented() -> list[str]:
    """The commands of the way back."""
    text = (Path(__file__).resolve().parents[2] / "docs/disaster.md").read_text().split("## The way back")[1]
    return [line for block in re.findall(r"```\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]


def cards(checkout: Checkout) -> dict[str, str]:
    """Network card of each guest, and what the host itself says that it is."""
    found = {}
    for name, kind, node, vmid, _ in HOSTS:
        card = checkout.ssh(node, f"{TOOLS[kind]} config {vmid} | grep ^net0").text
        found[name] = f"{card} {checkout.ssh(name, 'cat /etc/ssh/ssh_host_ed25519_key.pub /var/lib/precious').text}"
    return found


@pytest.mark.long
def test_the_fleet_is_back_by_the_document(tmp_path: Path) -> None:
    old = small_checkout(tmp_path / "house")
    offsite, keys = tmp_path / "offsite", tmp_path / "owner"
    try:
        up = old.up()
        assert up.code == 0, up.text[-4000:]
        for name, _, node, vmid, _ in HOSTS:
            assert old.ssh(name, f"echo of {name} >/var/lib/precious").code == 0
            assert old.ssh(node, f"vzdump {vmid} --mode snapshot --storage local --compress zstd").code == 0
        before = cards(old)
        for node in NODES:
            (offsite / node).mkdir(parents=True)
            assert (
                old.run("bash", "-c", f"scp -q -F .aether/ssh/sim/config '{node}:/var/lib/vz/dump/*' {offsite}/{node}/").code == 0
            )
        shutil.copytree(old.path / ".aether/sim/keys", keys)
        commit(old.path, "The homelab")
        subprocess.run(["git", "clone", "-q", "--bare", str(old.path), str(tmp_path / "remote.git")], check=True)
    finally:
        old.close()
    # Nodes, guests, disks, state, SSH configuration and the checkout itself.
    shutil.rmtree(old.path)

    begun = time.monotonic()
    path = tmp_path / "again"
    subprocess.run(["git", "clone", "-q", str(tmp_path / "remote.git"), str(path)], check=True)
    share(path)
    (path / ".aether/sim").mkdir()
    shutil.copytree(keys, path / ".aether/sim/keys")
    checkout = Checkout(path)
    try:
        assert checkout.sim("start", "--stack", "sim").code == 0, "Proxmox, installed again"
        assert checkout.guests() == {}
        took = {}
        for line in documented():
            if line in GIVEN:
                continue
            at = time.monotonic()
            for node in NODES if "NODE" in line else [""]:
                command = line.replace("homelab", "sim").replace("OFFSITE", str(offsite)).replace("NODE", node)
                done = checkout.run("bash", "-c", command, timeout=900)
                assert done.code == 0, f"{command}\n{done.text[-5000:]}"
            took[line] = time.monotonic() - at
        whole = time.monotonic() - begun
        assert set(done_of(checkout)) == {"unchanged"}, "the last preview has nothing to do"
        assert cards(checkout) == before, "data, keys and addresses are those of before"
        told = {host["host"]: host for host in json.loads(checkout.ops("status", "--json").text)["hosts"]}
        ours = {name: told[name] for name in (*NODES, *(host for host, *_ in HOSTS))}
        assert not [name for name, host in ours.items() if not host["answers"] or host["drift"] or host["unhealthy"]], ours
        print(f"\nback after {whole:.0f} s: " + "; ".join(f"{line}: {seconds:.0f} s" for line, seconds in took.items()))
        assert whole < 900, took
    finally:
        checkout.close()


def done_of(checkout: Checkout) -> dict[str, int]:
    return checkout.preview().changes()


def test_the_document_s_commands_are_the_drill_s() -> None:
    lines = documented()
    assert set(GIVEN) <= set(lines), "what the drill leaves out is in the document"
    assert [line for line in lines if line not in GIVEN] == [
        "./aether --stack homelab preview",
        "scp -F .aether/ssh/homelab/config OFFSITE/NODE/* NODE:/var/lib/vz/dump/",
        "./aether --stack homelab restore --all --to place",
        "./aether --stack homelab up",
        "./aether --stack homelab status",
        "./aether --stack homelab preview",
    ]
