"""Wrong configurations fail the evaluation, each with the message that says what to write."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nix.tools import evaluate

from .conftest import evaluated, replace

COCKPIT = Path("nix/hosts/niobe/cockpit.nix")
HOMELAB = Path("inventory/homelab.toml")


def two_postures(copy: Path) -> None:
    replace(copy / COCKPIT, "\n{\n  imports", "\n{\n  aether.security.relaxed.enable = true;\n  imports")


def missing_secret_file(copy: Path) -> None:
    (copy / "secrets" / "hosts" / "cockpit.yaml").unlink()


def missing_secret_key(copy: Path) -> None:
    replace(copy / COCKPIT, "aether.secrets.fleet-ssh-key", "aether.secrets.nowhere = { };\n  aether.secrets.fleet-ssh-key")


def secret_of_another_host(copy: Path) -> None:
    replace(
        copy / COCKPIT,
        "aether.secrets.fleet-ssh-key",
        'aether.secrets.tailscale-auth-key.file = "hosts/gateway.yaml";\n  aether.secrets.fleet-ssh-key',
    )


def unit_that_does_not_exist(copy: Path) -> None:
    replace(copy / HOMELAB, 'unit = "cockpit.socket"', 'unit = "cockpitd.service"')


def port_that_is_closed(copy: Path) -> None:
    replace(copy / HOMELAB, '{ unit = "cockpit.socket" },', '{ unit = "cockpit.socket" },\n  { tcp = 4711 },')


def host_without_configuration(copy: Path) -> None:
    (copy / COCKPIT).unlink()


def firewall_rule_from_nobody(copy: Path) -> None:
    replace(
        copy / COCKPIT,
        "aether.secrets.fleet-ssh-key",
        'aether.firewall.allow.x = { tcp = [ 1 ]; from = [ "nobody" ]; };\n  aether.secrets.fleet-ssh-key',
    )


def container_without_digest(copy: Path) -> None:
    replace(
        copy / COCKPIT,
        "aether.secrets.fleet-ssh-key",
        'virtualisation.quadlet.containers.app.containerConfig.image = "docker.io/library/app:latest";\n'
        "  aether.secrets.fleet-ssh-key",
    )


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (
            two_postures,
            r"(?s)hardened\.enable \(set in nix/profiles/appliance\.nix\) and "
            r"aether\.security\.relaxed\.enable \(set in .*cockpit\.nix\) exclude each other\..*Remove one",
        ),
        (
            missing_secret_file,
            r"secrets/hosts/cockpit\.yaml does not exist\. Create it: `sops secrets/hosts/cockpit\.yaml`",
        ),
        (missing_secret_key, r"secrets/hosts/cockpit\.yaml holds no key 'nowhere'\. Add it"),
        (
            secret_of_another_host,
            r"secrets/hosts/gateway\.yaml, which the inventory does not let it read\. "
            r'Add "hosts/gateway\.yaml" to `secrets` of \[hosts\.cockpit\]',
        ),
        (
            unit_that_does_not_exist,
            r"\[hosts\.cockpit\] in the inventory name units that cockpit does not have: "
            r"cockpitd\.service \(there is cockpit[^)]*\)\. Correct the check",
        ),
        (port_that_is_closed, r"TCP ports that cockpit does not open: 4711\. Correct the check"),
        (host_without_configuration, r"(?s)'cockpit' has no NixOS configuration.*Write nix/hosts/niobe/cockpit\.nix"),
        (firewall_rule_from_nobody, r"'nobody' is neither a host nor a node of the inventory"),
        (container_without_digest, r"Containers app are not pinned: write containerConfig\.image"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_mistake(copy: Path, break_it: Callable[[Path], None], message: str) -> None:
    break_it(copy)
    with pytest.raises(evaluate.NixError, match=message):
        evaluated(copy, "nixosConfigurations.cockpit.config.system.build.toplevel.drvPath")


def test_host_that_the_inventory_does_not_know(copy: Path) -> None:
    with pytest.raises(evaluate.NixError, match=r"nixosConfigurations\.nobody"):
        evaluated(copy, "nixosConfigurations.nobody.config.networking.hostName")
