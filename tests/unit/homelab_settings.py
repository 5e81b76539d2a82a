"""Stack settings of the homelab, by mocks."""

from pathlib import Path

import pulumi

from stacks.settings import Settings
from tests.unit.recorder import STACK

HOMELAB = Path("inventory/homelab.toml")


def settings(**changes: object) -> Settings:
    values: dict[str, object] = {
        "stack": STACK,
        "composition": "homelab",
        "inventory": HOMELAB,
        "evaluator": "source",
        "proxmox_endpoint": "https://192.168.1.11:8006/",
        "proxmox_api_token": pulumi.Output.secret("aether@pve!pulumi=0"),
    }
    return Settings.model_validate(values | changes)
