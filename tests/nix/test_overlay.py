"""An environment in Nix: the same facts as Python's, hosts that the flake has, and names that mean the environment's own."""

import json
from pathlib import Path
from urllib.parse import quote

import pytest

from inventory.overlay import document, overlays
from nix.tools import evaluate
from tests.system import small
from tests.unit import inventory_example, overlay_example

ROOT = evaluate.path_literal(evaluate.ROOT)
LIB = f"import {evaluate.path_literal(evaluate.ROOT / 'nix/lib')}"
OVERLAY = evaluate.path_literal(evaluate.ROOT / "nix/lib/overlay.nix")
ODD = """\
base = "homelab.toml"
[site]
name = "odd"
[overlay]
tags = ["ingress"]
prefix = "x-"
set = { memory = 768 }
[networks.new]
cidr = "10.0.0.0/16"
gateway = "10.0.0.1"
[nodes.oracle]
reserve = 1024
[nodes.spare]
address = "10.0.0.9"
[hosts.gateway]
address = "10.0.0.10"
network = "new"
[hosts.extra]
kind = "external"
address = "10.0.0.11"
[services.grafana]
host = "gateway"
port = 1
[rollout]
strategy = "canary"
canary = "gateway"
[cloud]
gateway = "gateway"
"""

GROUPS = """\
[deployers.pages]
hosts = ["web", "dns"]
[deployers.names]
hosts = ["dns"]
[deployers.ingress]
tags = ["ingress"]
"""

pytestmark = pytest.mark.usefixtures("nix")


def value(expression: str) -> object:
    return evaluate.run(["eval", "--json", "--impure", "--expr", expression], json_output=True).value


def laid_over(folder: Path, base: str, overlay: str) -> Path:
    base_file = overlay.split('"')[1]
    (folder / base_file).write_text(base)
    (folder / "over.toml").write_text(overlay)
    return folder / "over.toml"


def test_nix_lays_over_as_python_does(tmp_path: Path) -> None:
    homelab = (evaluate.ROOT / "inventory/homelab.toml").read_text()
    pairs = [
        (inventory_example.GOOD, overlay_example.OVERLAY),
        (inventory_example.GOOD + GROUPS, overlay_example.OVERLAY + '[deployers.new]\nhosts = ["staging-web"]\n'),
        (small.inventory(), small.staging("web", "dns")),
        (homelab, ODD),
        (homelab, (evaluate.ROOT / "inventory/staging.toml").read_text()),
    ]
    files = []
    for number, (base, overlay) in enumerate(pairs):
        folder = tmp_path / str(number)
        folder.mkdir()
        files.append(laid_over(folder, base, overlay))
    expression = """let overlay = import OVERLAY; read = file: fromTOML (builtins.readFile file); in
      map (path: let over = read path; in overlay (read (dirOf path + "/${over.base}")) over) [ FILES ]"""
    found = value(expression.replace("OVERLAY", OVERLAY).replace("FILES", " ".join(map(evaluate.path_literal, files))))
    assert isinstance(found, list)
    for path, nix in zip(files, found, strict=True):
        python = json.loads(json.dumps(document(path)))
        # Policies are of previews: no host's system asks for them.
        assert nix == {table: facts for table, facts in python.items() if table != "policies"}, path.read_text()


def test_every_host_of_an_environment_is_in_the_flake_and_is_written() -> None:
    for path in overlays(evaluate.ROOT / "inventory"):
        facts = document(path)
        lib = f'({LIB} {{ root = {ROOT}; environment = "{facts["site"]["name"]}"; }})'
        nixos = sorted(name for name, host in facts["hosts"].items() if host["kind"].startswith("nixos-"))
        assert value(f"builtins.attrNames {lib}.hosts.byAttribute") == nixos
        assert value(f"{lib}.hosts.written") == nixos
        files = value(f"map (name: toString ({lib}.hosts.file name)) {lib}.hosts.written")
        assert isinstance(files, list)
        assert all(Path(file).parts[-1] != f"{name}.nix" for file, name in zip(files, nixos, strict=True))


def test_a_name_of_the_base_means_the_environments_own_host() -> None:
    lib = f'({LIB} {{ root = {ROOT}; environment = "staging"; }}).inventory'
    assert value(f'map {lib}.address [ "gateway" "staging-gateway" "step-ca" "oracle" ]') == [
        "192.168.110.10",
        "192.168.110.10",
        "192.168.10.12",
        "192.168.1.11",
    ]
    assert value(f'{lib}.fqdn "gateway"') == "staging-gateway.staging.home.example.org"
    # And production sees nothing of it.
    assert value(f"({LIB} {{ root = {ROOT}; }}).inventory.hosts ? staging-gateway") is False


def test_the_flake_has_them() -> None:
    flake = f"git+file://{quote(str(evaluate.ROOT))}"
    names = evaluate.run(["eval", "--json", f"{flake}#lib.inventory.environments"], json_output=True)
    assert names.value == ["staging"]
