"""The benchmark's recording nix answers what the program asks today."""

import json
import shutil
from pathlib import Path

from bench.evaluation import recording_nix
from components.nixos.desired import desired_closures

REPOSITORY = Path(__file__).resolve().parents[2]


def test_what_was_evaluated_is_not_evaluated_again(tmp_path: Path) -> None:
    for folder in ("nix", "components", "inventory", "secrets"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
    for file in ("flake.nix", "flake.lock"):
        shutil.copy(REPOSITORY / file, tmp_path / file)
    log = tmp_path / "log"
    nix = recording_nix(tmp_path / "recording", log)
    hosts = {"gateway": "gateway", "adguard": "adguard"}
    files = [Path("inventory/homelab.toml")]
    first = desired_closures(tmp_path, files, hosts, evaluator="nix", nix=str(nix))
    assert set(first) == set(hosts)
    assert sorted(name for line in log.read_text().splitlines() for name in json.loads(line)) == sorted(hosts)
    log.write_text("")
    assert desired_closures(tmp_path, files, hosts, evaluator="nix", nix=str(nix)) == first
    assert log.read_text() == ""
