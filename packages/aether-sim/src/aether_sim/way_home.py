"""Whether a request at the public gateway reaches the homelab: the simulated tunnel and what is behind it decide."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING

from inventory.overlay import document

if TYPE_CHECKING:
    from aether_sim.datacentre import Datacentre
    from aether_sim.hosts.host import Host

FRONT_DOOR, HERE, THERE, HOME_DOOR = "caddy.service", "wg-quick@wg0.service", "wireproxy.service", "caddy.service"
_BAD_GATEWAY = 502


class WayHome:
    """Answers for the front door of the public gateway, by the name that was asked for."""

    def __init__(self, datacentre: Datacentre) -> None:
        self.datacentre = datacentre
        self.services: dict[str, str] = {}
        self.gateway, domain = "", ""
        for path in datacentre.inventory_files():
            tables = document(path)
            self.gateway = tables.get("cloud", {}).get("gateway", self.gateway)
            domain = tables.get("site", {}).get("public_domain", domain)
            for name, service in tables.get("services", {}).items():
                if service.get("public"):
                    self.services[f"{service.get('subdomain', name)}.{domain}"] = service["host"]

    def status(self, host: Host, unit: str, name: str, ready: int) -> int:
        """The HTTP status of a request for NAME at UNIT of HOST; READY where the tunnel has no part in it."""
        if host.name != self.gateway or unit != FRONT_DOOR or name not in self.services:
            return ready
        return ready if self._tunnel(host) and self._behind(self.services[name]) else _BAD_GATEWAY

    def _tunnel(self, here: Host) -> bool:
        """Both ends run, and this one has a key, and the key of the other."""
        if not here.services.is_active(HERE):
            return False
        try:
            text = here.root.read_text("/etc/wireguard/wg0.conf")
        except OSError:
            return False
        keys = dict(re.findall(r"^(PrivateKey|PublicKey) = (\S+)", text, re.MULTILINE))
        other = (self.datacentre.paths.repo / "nix/pki/gateway-wireguard.pub").read_text().strip()
        return _is_key(keys.get("PrivateKey", "")) and keys.get("PublicKey") == other

    def _behind(self, service_host: str) -> bool:
        """The homelab's end of the tunnel, its reverse proxy, and the host of the service."""
        hosts = self.datacentre.hosts.values()
        ends = [host for host in hosts if host.state == "up" and host.services.is_active(THERE)]
        serving = any(host.name == service_host and host.state == "up" and not host.services.failed() for host in hosts)
        return serving and any(end.services.is_active(HOME_DOOR) for end in ends)


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == 32
    except (ValueError, binascii.Error):
        return False
