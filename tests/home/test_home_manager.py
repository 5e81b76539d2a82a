"""Home Manager configurations: one for each machine with a home, and what they hold, evaluated with the real Home Manager."""

import json
import os
import shutil
import subprocess
import tomllib
from typing import Any

import pytest

from tests.home.conftest import REPO

EVALUATE = os.environ.get("AETHER_NIX_EVAL", "")


def evaluate(attribute: str, apply: str) -> Any:
    """JSON of a flake attribute, by `nix eval`, or by the command in AETHER_NIX_EVAL (FLAKE ATTRIBUTE OPTION…)."""
    if EVALUATE:
        command = [EVALUATE, str(REPO), attribute, "--apply", apply]
        environment = {**os.environ, "RAW": "--json"}
    elif nix := shutil.which("nix"):
        command = [
            nix,
            "--extra-experimental-features",
            "nix-command flakes",
            "eval",
            "--json",
            f"{REPO}#{attribute}",
            "--apply",
            apply,
        ]
        environment = dict(os.environ)
    else:
        pytest.skip("nix is not installed; set AETHER_NIX_EVAL to a command that evaluates the flake, or install Nix")
    done = subprocess.run(command, check=False, env=environment, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def machines() -> dict[str, Any]:
    """Machines with a home in the inventory files."""
    files = [tomllib.loads((REPO / "inventory" / name).read_text()) for name in ("homelab.toml", "cloud.toml")]
    return {name: host for file in files for name, host in file["hosts"].items() if "home" in host}


def test_one_for_each_machine_with_a_home() -> None:
    names = evaluate("homeConfigurations", "builtins.attrNames")
    # Containers are no machines: they use their host's (tests/ansible/test_containers.py).
    assert sorted(names) == sorted(host["home"]["configuration"] for host in machines().values())


@pytest.mark.slow
@pytest.mark.parametrize("configuration", sorted(host["home"]["configuration"] for host in machines().values()))
def test_evaluates_with_what_the_seed_asks_for(configuration: str) -> None:
    found = evaluate(
        f'homeConfigurations."{configuration}"',
        "c: { drv = c.activationPackage.drvPath; warnings = c.config.warnings; home = c.config.home.homeDirectory;"
        " packages = map (p: p.pname or p.name) c.config.home.packages; nixos = c.config.aether.nixos; }",
    )
    assert found["drv"].endswith(".drv")
    assert found["warnings"] == []
    assert found["home"] == "/home/mitso"
    wanted = {"ripgrep", "fzf", "git", "kubectl", "k9s", "go", "nodejs", "neovim", "chezmoi", "stow", "zsh", "uv"}
    wanted |= {"direnv", "devbox", "k3d", "kind", "minikube", "cri-tools"}
    present = set(found["packages"])
    missing = {name for name in wanted if not any(name in package for package in present)}
    assert not missing, sorted(present)
    assert any(package.startswith("python3") for package in present)
    host = next(host for host in machines().values() if host["home"]["configuration"] == configuration)
    assert found["nixos"] == (host["kind"].startswith("nixos-") or host.get("os") == "nixos")
