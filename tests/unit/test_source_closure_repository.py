"""The source closure on the repository's own files: what makes a host's hash change."""

import shutil
import subprocess
from pathlib import Path

import pytest

from components.nixos.source_closure import source_hash, sources_of

ROOT = Path(__file__).parents[2]
INVENTORY = [Path("inventory/homelab.toml")]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """What the flake is made of, copied, to be changed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "flake.nix", "flake.lock", "nix", "inventory", "secrets"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    ).stdout.split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def hashes(repository: Path, *hosts: str) -> dict[str, str]:
    return {host: source_hash(repository, INVENTORY, host) for host in hosts}


def changed_by(repository: Path, file: str) -> set[str]:
    """Hosts whose hash changes with a line more in a file."""
    before = hashes(repository, "cockpit", "gateway", "keycloak", "monitoring")
    path = repository / file
    path.write_text(path.read_text() + "\n")
    after = hashes(repository, *before)
    return {host for host in before if before[host] != after[host]}


def test_a_host_file_changes_that_host(repository: Path) -> None:
    assert changed_by(repository, "nix/hosts/oracle/gateway/caddy.nix") == {"gateway"}
    assert changed_by(repository, "nix/hosts/niobe/cockpit.nix") == {"cockpit"}


def test_a_module_changes_every_host(repository: Path) -> None:
    assert len(changed_by(repository, "nix/modules/ssh.nix")) == 4


def test_what_a_host_offers_changes_those_who_read_it(repository: Path) -> None:
    """keycloak and monitoring read exports.nix of all: a cached evaluation must not outlive a change there."""
    assert {"gateway", "keycloak", "monitoring"} <= changed_by(repository, "nix/hosts/oracle/gateway/exports.nix")


def test_documents_and_images_change_no_host(repository: Path) -> None:
    assert changed_by(repository, "nix/README.md") == set()
    assert changed_by(repository, "nix/images/vm.nix") == set()


def test_a_rotated_secret_changes_its_host(repository: Path) -> None:
    """sops-nix carries the encrypted file inside the system: without a deploy the host would keep the old one."""
    assert changed_by(repository, "secrets/hosts/gateway.yaml") == {"gateway"}


@pytest.mark.parametrize(
    ("script", "part"),
    [
        ("nixos/scripts/deploy.sh", False),
        ("nixos/scripts/building.sh", False),
        ("nixos/scripts/host.sh", True),
        ("nixos/scripts/entry.sh", True),
        ("health/scripts/health.sh", True),
        ("health/scripts/prove.sh", False),
    ],
)
def test_what_the_operators_machine_runs_is_no_part_of_a_host(script: str, part: bool) -> None:
    read = {str(path) for path in sources_of(ROOT, INVENTORY, ["gateway"])["gateway"].files}
    assert (f"components/{script}" in read) is part
