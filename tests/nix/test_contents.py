"""What a preview says of a change inside a system, by the real nixpkgs: the change, and what it restarts."""

from pathlib import Path

import pytest

from components.contents import as_lines, from_lines
from components.nixos.desired import expression
from nix.tools import evaluate
from ops.contents import differences

HOST = "keycloak"
CHANGE = """{ pkgs, ... }: {
  environment.systemPackages = [ pkgs.hello ];
  systemd.services.greeter = { wantedBy = [ "multi-user.target" ]; script = "hello"; };
  environment.etc.greeting.text = "hello";
  networking.firewall.allowedTCPPorts = [ 7007 ];
}"""


@pytest.mark.usefixtures("trees")
def test_a_change_is_said_by_what_it_changes() -> None:
    both = f"{{ before = all.{HOST}; after = all.{HOST}.extendModules {{ modules = [ ({CHANGE}) ]; }}; }}"
    hosts = {name: name for name in ("before", "after")}
    found = evaluate.evaluate("nixosConfigurations", apply=f"all: ({expression(hosts)}) {both}")
    before, after = (from_lines(as_lines(found.value[name]["system"])) for name in hosts)
    said = list(differences(before, after))
    for line in ("+ files: greeting", "+ packages: hello 2.12", "+ units: greeter.service", "~ ports: tcp"):
        assert any(known.startswith(line) for known in said), said
    # Nothing else but what has the path of all packages in it, like the units of D-Bus.
    assert len(said) <= 10, said


@pytest.mark.usefixtures("trees")
def test_a_change_elsewhere_is_no_change_of_a_host(copy: Path) -> None:
    """A file is known by its content, not by the folder that Nix copied it from."""

    def said() -> object:
        return evaluate.evaluate("nixosConfigurations", apply=expression({HOST: HOST}), flake=f"path:{copy}").value

    before = said()
    (copy / "README.md").write_text("changed")
    assert said() == before
