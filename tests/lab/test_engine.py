"""The real engine deploys to a real guest through a node: `pulumi up` of the product's own components, all of it over OpenSSH.

Resources, scripts, evaluation, build, signature, copy, activation, health and confirmation are the product's. The host is
a container with a real systemd, Nix and sshd (tests/lab/node). Of Proxmox only its API is missing: the guest is there already.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from bench.fleet import public_key
from tests.lab.container import Container, ContainerNetwork
from tests.lab.disk import NIX, REPOSITORY
from tests.lab.host_secrets import TOOLS, encrypted
from tests.lab.node import Node
from tests.system.checkout import Checkout, Result

PROGRAM = REPOSITORY / "tests/lab/program"
UNIT = "[Unit]\\nDescription={0}\\n[Service]\\nExecStart=/usr/bin/sleep {1}d\\n"
FAILS = "[Unit]\\nDescription=fails\\n[Service]\\nType=oneshot\\nRemainAfterExit=true\\nExecStart=/usr/bin/false\\n"
INVENTORY = """\
[site]
name = "lab"
domain = "lab.example.org"
public_domain = "example.org"
timezone = "Europe/Berlin"
user = "owner"
authorized_keys = ["{owner}"]
age_recipients = ["{recipient}"]

[networks.servers]
cidr = "10.77.0.0/24"
gateway = "10.77.0.1"
nameservers = ["10.77.0.1"]

[nodes.pve1]
address = "10.77.0.2"
cpu = 4
memory = 8192
host_key = "{node}"

[hosts.dns]
kind = "nixos-lxc"
description = "dns"
node = "pve1"
network = "servers"
vmid = 101
address = "10.77.0.21"
cpu = 1
memory = 512
disks = [{{ size = 8 }}]
host_key = "{guest}"
health = [{{ unit = "web.service" }}]
settle = 0
"""


@dataclass
class Engine:
    """A checkout with the lab's program, and the guest that it deploys to."""

    checkout: Checkout
    site: ContainerNetwork
    guest: Container

    def pulumi(self, *words: str) -> Result:
        """The engine, in the network of the node and its guests."""
        return self.checkout.run(*self.site.ground.network, str(TOOLS / "pulumi"), *words, "--non-interactive", timeout=600)

    def up(self) -> Result:
        return self.pulumi("up", "--stack", "lab", "--yes", "--skip-preview")

    def write(self, **units: str) -> None:
        """The host's file: what its system is."""
        text = "".join(f'"{name}.service" = "{unit}"; ' for name, unit in units.items())
        file = self.checkout.path / "nix/hosts/pve1/dns.nix"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"{{ units = {{ {text}}}; }}\n")
        self.checkout.run("git", "add", "-A")

    def runs(self) -> str:
        return self.guest.sh("readlink -f /run/current-system")


@pytest.fixture(scope="module")
def engine(site: ContainerNetwork, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    if not (TOOLS / "pulumi").exists():
        pytest.skip("the engine is not there; make it with: ./aether engine ensure")
    node = Node(site, "pve1", 2)
    guest = node.container(101, "dns", 21)
    node.start()
    assert node.ssh("pct start 101").returncode == 0
    work = tmp_path_factory.mktemp("engine")
    recipient, environment = encrypted(work / "secrets", {"dns": guest}, site.base)
    texts = {
        "__main__.py": (PROGRAM / "__main__.py").read_text(),
        "flake.nix": (PROGRAM / "flake.nix").read_text(),
        "lab.json": json.dumps({"parts": site.base.parts, "trusted": [(site.base.root / "signing.pub").read_text()]}),
        "inventory/homelab.toml": INVENTORY.format(
            owner=public_key("owner"), recipient=recipient, node=node.machine.host_key, guest=guest.host_key
        ),
        "Pulumi.yaml": "name: aether\nruntime: {name: python, options: {virtualenv: .venv}}\n",
        "Pulumi.lab.yaml": "config:\n"
        "  aether:composition: homelab\n  aether:inventory: inventory/homelab.toml\n  aether:evaluator: nix\n"
        f"  aether:secrets: {work / 'secrets'}\n  aether:nix: {NIX}\n  aether:operatorKeyFile: {site.base.operator_key}\n",
    }
    checkout = Checkout.make(work / "checkout", texts)
    (checkout.path / "flake.lock").unlink()
    checkout.environment = {
        **environment,
        "PATH": f"{TOOLS}:{REPOSITORY / '.venv/bin'}:{os.environ['PATH']}",
        "PULUMI_BACKEND_URL": f"file://{work}",
        "PULUMI_CONFIG_PASSPHRASE": "lab",
        "PULUMI_HOME": str(REPOSITORY / ".aether/pulumi-home"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    }
    made = Engine(checkout, site, guest)
    made.write(web=UNIT.format("web", 1000))
    created = made.pulumi("stack", "init", "lab")
    assert created.code == 0, created.text
    yield made


def test_an_up_deploys_and_a_second_one_has_nothing_to_do(engine: Engine) -> None:
    before = engine.guest.ssh("true")
    assert "Host key verification failed" in before.stderr
    first = engine.up()
    assert first.code == 0, first.text
    assert engine.guest.sh("systemctl is-active web.service") == "active"
    assert engine.runs() == engine.guest.sh("readlink -f /nix/var/nix/profiles/system")
    second = engine.up()
    assert second.code == 0, second.text
    assert set(second.changes()) == {"unchanged"}, second.text


def test_a_change_is_shown_and_an_unhealthy_system_goes_back_and_the_run_is_red(engine: Engine) -> None:
    before = engine.runs()
    engine.write(web=UNIT.format("web", 1000), bad=FAILS)
    preview = engine.pulumi("preview", "--stack", "lab", "--diff")
    assert preview.changes()["to update"] == 1, preview.text
    assert "+ units: bad.service: " in preview.text, preview.text
    assert engine.runs() == before
    red = engine.up()
    assert red.code != 0
    assert "this switch broke bad.service" in red.text, red.text
    assert engine.runs() == engine.guest.sh("readlink -f /nix/var/nix/profiles/system") == before


@pytest.mark.long
def test_after_a_red_run_a_changed_system_is_deployed(engine: Engine) -> None:
    before = engine.runs()
    engine.write(web=UNIT.format("web", 2000))
    changed = engine.up()
    assert changed.code == 0 and changed.changes()["updated"] == 1, changed.text
    assert engine.runs() != before
    assert set(engine.up().changes()) == {"unchanged"}
