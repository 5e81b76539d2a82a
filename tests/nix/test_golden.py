"""The golden texts: what is read back is what was written, and they are those of today's configuration."""

import json
import subprocess
from typing import Any

import pytest

from nix.tools import evaluate

from . import golden
from .conftest import nixos_hosts


def test_every_host_has_golden_texts() -> None:
    kept = {file.parent.name for file in golden.FOLDER.glob("*/report.json")}
    assert kept == set(nixos_hosts()) == set(json.loads((golden.FOLDER / "sources.json").read_text()))


def test_golden_texts_are_as_new_as_their_sources() -> None:
    """A warning, no failure: a comment changes the sources and no text, only an evaluation tells, and not everybody has Nix."""
    if stale := golden.stale():
        pytest.skip(f"golden texts are older than the sources of {', '.join(stale)}: NIXTREES=… python -m tests.nix.golden")


@pytest.mark.parametrize("host", nixos_hosts())
def test_golden_texts_are_what_evaluates(host: str, trees: evaluate.Trees) -> None:
    kept = golden.read(host)
    now = golden.evaluated(host, [(answer["ask"], answer.get("apply")) for answer in kept["answers"]])
    assert _plain(now) == _plain(kept), f"NIXTREES=… python -m tests.nix.golden {host}"


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
