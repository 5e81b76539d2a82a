"""The golden texts: what is read back is what was written, and they are those of today's configuration."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from nix.tools import evaluate

from . import changes, golden
from .conftest import nixos_hosts


def test_every_host_has_golden_texts() -> None:
    kept = {file.parent.name for file in golden.FOLDER.glob("*/report.json")}
    assert kept == set(nixos_hosts()) == set(json.loads((golden.FOLDER / "sources.json").read_text()))


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_what_was_read_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _contents(golden.FOLDER)
    copy = tmp_path / "golden"
    shutil.copytree(golden.FOLDER, copy)
    monkeypatch.delenv("NIXTREES", raising=False)
    monkeypatch.setattr(golden, "FOLDER", copy)
    hosts = {name: golden.read(name) for name in golden.nixos_hosts()}
    golden.write(hosts, golden._answers(golden.FLAKE), json.loads((golden.FOLDER / "sources.json").read_text()))
    after = _contents(copy)
    assert sorted(after) == sorted(before)
    assert [name for name in after if after[name] != before[name]] == []


@pytest.mark.parametrize("host", nixos_hosts())
def test_golden_texts_are_what_evaluates(host: str) -> None:
    """Equal sources mean an equal system. Older texts are no failure where nobody can evaluate: a comment changes no text."""
    fix = f"NIXTREES=… python -m tests.nix.golden {host}"
    if not golden.available():
        if host in golden.stale():
            pytest.skip(f"golden texts are older than the sources: {fix}")
        return
    kept = golden.read(host)
    now = golden.evaluated(host, [(answer["ask"], answer.get("apply")) for answer in kept["answers"]])
    assert _plain(now) == _plain(kept), fix


def test_recorded_changes_are_of_tests_that_exist() -> None:
    """Whose tests were renamed asks in vain; the file keeps nothing that nobody reads."""
    for test in json.loads(changes.FILE.read_text()):
        file, _, name = test.partition("::")
        text = (evaluate.ROOT / file).read_text()
        assert f"def {name.rpartition('::')[2].partition('[')[0]}(" in text, test


def _plain(host: dict[str, Any]) -> dict[str, Any]:
    texts = sorted(json.dumps(entry, sort_keys=True) for entry in host["derivations"])
    return json.loads(json.dumps({**host, "derivations": texts}))  # type: ignore[no-any-return]


def test_they_hold_no_store_path_of_a_machine() -> None:
    pattern = "[a-z]/nix/store|/nix/store/[0-9a-df-z][0-9a-z]{31}-"
    command = ["grep", "-rlE", pattern, str(golden.FOLDER)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.stdout == ""


def test_hashes_go_and_everything_else_stays() -> None:
    path = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-name.txt"
    assert golden.normalised([path, {"a": 1}, "plain"]) == [f"/nix/store/{'e' * 32}-name.txt", {"a": 1}, "plain"]
    assert golden.normalised("tag:0123456789abcdfghijklmnpqrsvwxyz") == f"tag:{'e' * 32}"
    assert golden.normalised("192.168.10.10 SHA256:abc") == "192.168.10.10 SHA256:abc"
