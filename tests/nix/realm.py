"""Keycloak's realm: its issuer and its clients."""

import json
from functools import cache
from typing import Any

from .conftest import ask

ISSUER = "https://auth.example.org/realms/homelab"


@cache
def clients() -> dict[str, dict[str, Any]]:
    """The clients of Keycloak's realm."""
    templates = ask("nixosConfigurations.keycloak.config.sops.templates", "builtins.mapAttrs (_: template: template.content)")
    return {client["clientId"]: client for client in json.loads(templates["homelab-realm.json"])["clients"]}
