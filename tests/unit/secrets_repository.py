"""A small repository with an inventory and an owner's key, for tests of secrets/."""

import os
import re
import shutil
from pathlib import Path

import pytest

from inventory import agekey
from inventory.cli import main
from inventory.keys import new_ssh_key
from inventory.secret_store import SecretStore
from tests.unit.inventory_example import GOOD

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / ".aether" / "engine" / "bin"
HAVE_SOPS = all((BUILT / name).exists() or shutil.which(name) for name in ("sops", "age-keygen"))
needs_sops = pytest.mark.skipif(not HAVE_SOPS, reason="sops and age are not built yet: make setup")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one inventory, an owner's key, and no secrets."""
    (tmp_path / "Pulumi.yaml").write_text("name: lab\n")
    (tmp_path / "inventory").mkdir()
    (tmp_path / "secrets").mkdir()
    private, public = new_ssh_key("owner")
    (tmp_path / "owner").write_text(private)
    text = re.sub(r"age_recipients = .*", f'age_recipients = ["{agekey.recipient(public)}"] # the owner', GOOD)
    (tmp_path / "inventory" / "lab.toml").write_text(text.replace('tags = ["ingress"]', 'secrets = ["hosts/web.yaml"]'))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{BUILT}:{os.environ['PATH']}")
    monkeypatch.delenv("SOPS_AGE_KEY_FILE", raising=False)
    monkeypatch.delenv("SOPS_AGE_KEY", raising=False)
    return tmp_path


def run(*arguments: str) -> int:
    return main(["secrets", "--file", "inventory/lab.toml", "--key-file", "owner", *arguments])


def values_of(repository: Path, host: str) -> dict[str, str]:
    return SecretStore(repository / "secrets", repository / "owner").read(f"hosts/{host}.yaml")
