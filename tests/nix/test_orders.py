"""Orders on NixOS: which hosts ask for them, where, and with which key."""

import json
from pathlib import Path
from typing import Any

import pytest

from inventory.building import Cache
from inventory.load import load
from inventory.models import takes_orders
from nix.tools import evaluate

from .conftest import evaluated, nixos_hosts

HOMELAB = Path("inventory/homelab.toml")
CACHE = 'push = "s3://nix-cache"\npull = "https://cache.example.org"\n'
ASKED = """config: {
  service = config.systemd.services.aether-order.serviceConfig // {
    inherit (config.systemd.services.aether-order) restartIfChanged;
    inherit (config.systemd.services.aether-order.unitConfig) X-StopOnRemoval;
  };
  timer = config.systemd.timers.aether-order.timerConfig;
  checks = config.environment.etc."aether/checks".text;
  kept = builtins.elem "/var/lib/aether" config.aether.persist.directories;
}"""


def test_a_host_that_may_be_away_asks_the_cache_by_its_timer(copy: Path) -> None:
    (copy / HOMELAB).write_text((copy / HOMELAB).read_text() + f"[cache]\n{CACHE}")
    found: dict[str, Any] = evaluated(copy, "nixosConfigurations.laptop.config", apply=ASKED)
    words = found["service"]["ExecStart"].split()
    key = (evaluate.ROOT / "nix/pki/nix-signing.pub").read_text().split()
    assert words[1].strip('"').endswith("-aether-orders/nixos/scripts/take-order.sh")
    assert [word.strip('"') for word in words[2:]] == ["laptop", "https://cache.example.org", "127.0.0.1", *key]
    # It is at work while systems are switched.
    assert (found["service"]["Type"], found["service"]["restartIfChanged"], found["service"]["X-StopOnRemoval"]) == (
        "oneshot", False, False,
    )  # fmt: skip
    assert found["timer"]["OnBootSec"] and found["timer"]["OnUnitInactiveSec"]
    assert found["checks"] == "unit\tsshd.service\t-\t60\n"
    # Which orders it has seen outlives a boot of its ephemeral root.
    assert found["kept"]


@pytest.mark.usefixtures("nix")
def test_nix_and_the_operator_agree_who_takes_orders() -> None:
    caches = [{"push": "https://one"}, {"push": "s3://one"}, {"push": "s3://one", "pull": "http://two"}, None]
    known = load(HOMELAB).hosts
    hosts = [known[name] for name in nixos_hosts() if name in known]
    laptop = known["laptop"]
    changes: tuple[dict[str, object], ...] = ({}, {"pulls": False}, {"build_on": "target"}, {"build_on": "dev"}, {"roams": False})
    hosts += [laptop.model_copy(update=change) for change in changes]
    given = [json.loads(host.model_dump_json(exclude_none=True)) for host in hosts]
    # A JSON text is a string of Nix's, but for what that would fill in.
    hosts_text, caches_text = (json.dumps(json.dumps(each)).replace("${", "\\${") for each in (given, caches))
    expression = (
        f"let takes = (import {evaluate.path_literal(evaluate.ROOT / 'nix/lib/orders.nix')}).takes; "
        f"read = builtins.fromJSON; in map (host: map (takes host) (read {caches_text})) (read {hosts_text})"
    )
    found = evaluate.run(["eval", "--json", "--impure", "--expr", expression], json_output=True).value
    assert found == [[takes_orders(host, Cache(**cache) if cache else None) for cache in caches] for host in hosts]
    assert found[-5:] == [[True, False, True, False], *[[False] * 4] * 2, [True, False, True, False], [False] * 4]
