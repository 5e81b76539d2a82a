"""Hosts that several tests start in a house: step-ca, the gateway and Prometheus, with their own texts (house.py)."""

import json
import re
from itertools import chain
from typing import Any

import trustme
import yaml
from cryptography.hazmat.primitives.asymmetric import ed25519

from inventory.overlay import document
from nix.tools import evaluate

from .house import Container
from .step_ca import pem
from .workloads import only

FACTS = document(evaluate.ROOT / "inventory/homelab.toml")
ADDRESS = {name: facts["address"] for name, facts in FACTS["hosts"].items()}
RULES = evaluate.ROOT / "nix/hosts/niobe/monitoring/rules"
SERVICE = "prometheus.home.example.org"


def served_names() -> dict[str, str]:
    """Every name that hosts of a house call each other by, and its address."""
    served = re.findall(r"^(\S+\.example\.org) +\{", str(only("gateway", "Caddyfile")), re.MULTILINE)
    own = ("step-ca", "keycloak", "monitoring")
    return dict.fromkeys(served, ADDRESS["gateway"]) | {f"{name}.home.example.org": ADDRESS[name] for name in own}


def certified_by(top: trustme.CA, middle: trustme.CA, *hosts: Container) -> None:
    """Gives hosts the authority's certificates in place of the homelab's own."""
    for host in hosts:
        host.texts = {
            "root_ca.crt": top.cert_pem.bytes().decode(),
            "intermediate_ca.crt": middle.cert_pem.bytes().decode(),
        }


def prometheus_texts(host: Container) -> None:
    """Prometheus with all rules."""
    rules = [yaml.safe_load(file.read_text())["groups"] for file in RULES.glob("*.yaml") if file.name != "logs.yaml"]
    host.texts["rules-checkrules-checked"] = json.dumps({"groups": [*chain(*rules)]})
    host.write("/etc/prometheus/prometheus.yaml", json.dumps(only("monitoring", "prometheus.yml")))
    # Debian builds it without what takes OTLP.
    host.unit("prometheus.service", without="  --web.enable-otlp-receiver \\\n")


def step_ca(host: Container, middle: Any, life: dict[str, str] | None = None) -> None:
    """The authority; LIFE are claims that certificates have instead of the host's."""
    settings = dict(only("step-ca", "ca.json"))
    settings["authority"]["claims"] |= life or {}
    host.texts |= {path.name: path.read_text() for path in (evaluate.ROOT / "nix/hosts/oracle/step-ca").glob("*.tpl")}
    host.write("/etc/smallstep/ca.json", json.dumps(settings))
    host.secrets |= {
        "intermediate-key": middle.private_key_pem.bytes().decode(),
        "ssh-host-ca-key": pem(ed25519.Ed25519PrivateKey.generate()).decode(),
        "ssh-user-ca-key": pem(ed25519.Ed25519PrivateKey.generate()).decode(),
    }
    host.unit("step-ca.service", base=packaged(host, "step-ca.service"))


def packaged(host: Container, unit: str) -> str:
    """The unit that the program's own package brings."""
    return (host.house.debian / "usr/lib/systemd/system" / unit).read_text()


def gateway_texts(host: Container, root: str, options: str = "") -> None:
    """What Caddy and HAProxy read; ROOT is what they trust, OPTIONS are more of Caddy's global ones."""
    # Debian's Caddy has no tracing.
    caddyfile = re.sub(r"tracing \{[^}]*\}", "", str(only("gateway", "Caddyfile")))
    host.write("/etc/caddy/caddy_config", caddyfile.replace("{\n", f"{{\n  {options}\n", 1))
    host.write("/etc/haproxy.cfg", str(only("gateway", "haproxy.conf")))
    # What verifies servers' certificates: the world's authorities, and the homelab's.
    host.write("/etc/ssl/certs/ca-certificates.crt", root)
