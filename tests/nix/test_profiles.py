"""What a profile bundles, who decides, that a new feature is one file, and that a changed package is another."""

import re
from pathlib import Path
from typing import Any

import pytest

from nix.tools import evaluate

from .conftest import ask, evaluated, replace

LAPTOP = Path("nix/hosts/laptop/default.nix")
HOMELAB = Path("inventory/homelab.toml")
POSTURE = """config: {
  inherit (config.aether.security) hardened relaxed;
  desktop = config.services.desktopManager.plasma6.enable;
  passwords = config.services.openssh.settings.PasswordAuthentication;
  containers = config.virtualisation.podman.enable;
}"""


def posture(copy: Path, host: str) -> dict[str, Any]:
    return dict(evaluated(copy, f"nixosConfigurations.{host}.config", POSTURE))


def says(copy: Path, host: str, line: str | None) -> None:
    """Has the inventory say LINE, or nothing, of a host's posture."""
    file = copy / HOMELAB
    before, heading, rest = file.read_text().partition(f"[hosts.{host}]\n")
    rest = re.sub(r"(?m)\A((?:(?!^\[).*\n)*?)security = .*\n", r"\1", rest, count=1)
    file.write_text(before + heading + (f"{line}\n" if line else "") + rest)


def test_a_development_machine_has_a_desktop_and_the_relaxed_login(copy: Path) -> None:
    replace(copy / LAPTOP, "    ../../profiles/personal.nix\n", "")
    assert posture(copy, "laptop") == {
        "hardened": {"enable": False},
        "relaxed": {"enable": True},
        "desktop": True,
        "passwords": True,
        "containers": True,
    }


def test_a_server_is_hardened_and_has_containers(copy: Path) -> None:
    replace(copy / "nix/hosts/niobe/cockpit.nix", "profiles/appliance.nix", "profiles/server.nix")
    assert posture(copy, "cockpit") == {
        "hardened": {"enable": True},
        "relaxed": {"enable": False},
        "desktop": False,
        "passwords": False,
        "containers": True,
    }


def test_the_inventory_wins_over_a_profile(copy: Path) -> None:
    says(copy, "laptop", 'security = "hardened"')
    found = posture(copy, "laptop")
    assert (found["hardened"], found["relaxed"], found["passwords"]) == ({"enable": True}, {"enable": False}, False)


def test_a_profile_does_not_relax_what_the_inventory_takes_for_hardened(copy: Path) -> None:
    says(copy, "laptop", None)
    message = r'(?s)laptop is relaxed by .*profiles/dev\.nix.*Write `security = "relaxed"` in \[hosts\.laptop\]'
    with pytest.raises(evaluate.NixError, match=message):
        evaluated(copy, "nixosConfigurations.laptop.config.system.build.toplevel.drvPath")


def test_profiles_that_contradict_each_other_are_refused(copy: Path) -> None:
    says(copy, "dev", None)
    replace(copy / "nix/hosts/trinity/dev/default.nix", "profiles/toolchains.nix", "profiles/dev.nix")
    with pytest.raises(
        evaluate.NixError, match=r"(?s)aether\.security\.(relaxed|hardened)\.enable' has conflicting definition values"
    ):
        evaluated(copy, "nixosConfigurations.dev.config.system.build.toplevel.drvPath")


FEATURE = """# Says something to whoever logs in.
{ config, lib, aether, ... }:
let
  cfg = config.aether.greeting;
in
{
  options.aether.greeting.enable = lib.mkEnableOption "a word to whoever logs in";
  config = lib.mkIf cfg.enable {
    users.motd = lib.mkDefault "This is ${aether.name} of ${aether.site.domain}.";
  };
}
"""
WITH_AND_WITHOUT = """host: {
  off = host.config.users.motd;
  on = (host.extendModules { modules = [ { aether.greeting.enable = true; } ]; }).config.users.motd;
}"""


def test_a_new_feature_is_one_file(copy: Path) -> None:
    """As nix/modules/README.md says: dropping it is enough, and it is off until a host says otherwise."""
    before = {path for path in copy.rglob("*") if path.is_file()}
    (copy / "nix/modules/greeting.nix").write_text(FEATURE)
    assert {path for path in copy.rglob("*") if path.is_file()} - before == {copy / "nix/modules/greeting.nix"}
    found = evaluated(copy, "nixosConfigurations.cockpit", WITH_AND_WITHOUT)
    assert found == {"off": "", "on": "This is cockpit of home.example.org."}


def test_features_are_taken_by_their_name_of_0_1_0(copy: Path) -> None:
    """Hosts that an owner wrote before say aether.abilities; a warning names the line."""
    path = copy / "nix/hosts/laptop/default.nix"
    path.write_text(path.read_text().replace("  aether.features = {", "  aether.abilities = {"))
    wanted = "host: { inherit (host.config.aether.features.disk) enable; warned = builtins.length host.config.warnings; }"
    found = evaluated(copy, "nixosConfigurations.laptop", wanted)
    assert found["enable"] and found["warned"] > 0


PACKAGE = """host: {
  changed = host.config.services.step-ca.package.drvPath == host.pkgs.step-ca.drvPath;
  inputs = map (input: input.pname) host.config.services.step-ca.package.buildInputs;
}"""


def test_an_own_change_of_a_package_is_what_the_host_runs() -> None:
    """Without what it needs for hardware keys; the unit starts that one."""
    assert ask("nixosConfigurations.step-ca", PACKAGE) == {"changed": True, "inputs": []}


def test_a_changed_package_is_one_file(copy: Path) -> None:
    (copy / "nix/overlays/marked.nix").write_text('_: prev: { hello = prev.hello.overrideAttrs { pname = "changed"; }; }\n')
    assert evaluated(copy, "nixosConfigurations.cockpit", "host: host.pkgs.hello.pname") == "changed"
