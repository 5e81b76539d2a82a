"""The owner's own files of a minimal fleet, from the answers: one node, one container, one virtual machine."""

from pathlib import Path
from string import Template

from inventory import agekey
from inventory.keys import new_ssh_key
from ops.init.questions import Answers, network, node_address

FILES = Path(__file__).parent / "files"
INVENTORY = "inventory/homelab.toml"
_GIBIBYTE = 1024  # MiB


def files(answers: Answers) -> dict[str, str]:
    """Path to text of each file.

    Keys are those of nobody: `secrets init --new-owner` makes new ones. Secrets hold names alone, which is what it goes by.
    """
    node, container, vm = (answers[name] for name in ("node", "container", "vm"))
    values = {**answers, "address": node_address(answers), "cidr": str(network(answers))}
    values["memory"] = str(int(answers["node_memory"]) * _GIBIBYTE)
    values |= {f"{name}_key": new_ssh_key()[1] for name in ("node", "container", "vm")}
    values["age_recipient"] = agekey.recipient(values["container_key"])
    texts = {
        INVENTORY: "inventory.toml",
        "README.md": "README.md",
        "Pulumi.homelab.yaml": "Pulumi.homelab.yaml",
        "ansible/fleet-node.yml": "fleet-node.yml",
        "nix/own/fleet.nix": "fleet.nix",
        f"nix/hosts/{node}/{container}.nix": "hosts/container.nix",
        f"nix/hosts/{node}/{vm}.nix": "hosts/vm.nix",
    }
    return {
        **{path: _text(file, values) for path, file in texts.items()},
        **{f"secrets/hosts/{host}.yaml": "operator-password-hash: ''\n" for host in (container, vm)},
        "secrets/fleet.yaml": "nix-signing-key: ''\nssh-user-ca-key: ''\n",
        "nix/pki/root_ca.crt": "",
    }


def _text(file: str, values: Answers) -> str:
    """FILE with $NAME filled in, where it is one that names anything."""
    text = (FILES / file).read_text(encoding="utf-8")
    return text if file.endswith((".nix", ".yml")) else Template(text).substitute(values)
