"""The homelab's servers: what the inventory says of them, and the texts that they are made of."""

import json
from functools import cache

from inventory.overlay import document
from nix.tools import evaluate

from .conftest import ask, host_report
from .workloads import generated

ROLE = evaluate.ROOT / "ansible/roles/host_monitoring_agent"
FACTS = document(evaluate.ROOT / "inventory/homelab.toml")
SERVERS = sorted(name for name, host in FACTS["hosts"].items() if host["kind"] in ("nixos-vm", "nixos-lxc"))


@cache
def texts(host: str) -> str:
    """Everything that the host's programs read, in one text; its firewall is no program."""
    report = host_report(host).value
    answers = [ask(f"nixosConfigurations.{host}.config.sops.templates", "builtins.mapAttrs (_: template: template.content)")]
    if host == "step-ca":
        answers.append(ask("nixosConfigurations.step-ca.config.services.step-ca.settings"))
    if host == "openbao":
        answers.append(ask("nixosConfigurations.openbao.config.services.openbao.settings"))
    if host == "adguard":
        answers.append(ask("nixosConfigurations.adguard.config.services.adguardhome.settings"))
    files = [json.dumps(content) for name, contents in generated(host).items() if "nft" not in name for content in contents]
    return "\n".join([*report["units"].values(), *report["etc"].values(), *files, json.dumps(answers)])
