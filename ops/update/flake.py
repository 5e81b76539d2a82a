"""Inputs of the flake: Nix itself looks for newer ones."""

import json
import os
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.nixos.tool import nix_command
from inventory.files import write_whole
from ops.update.pins import Found, Newer

LOCK = "flake.lock"


def flake_inputs(repository: Path, nix: str, *, write: bool) -> Found:
    """The newest revision of each input of REPOSITORY's flake."""
    lock = repository / LOCK
    with tempfile.TemporaryDirectory() as folder:
        newer = Path(folder, LOCK)
        command = [*nix_command(nix), "flake", "update", "--output-lock-file", str(newer)]
        try:
            done = subprocess.run(command, cwd=repository, env=os.environ, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return Found(left=[f"`{LOCK}`: {nix} is not installed here. Fix: run this where Nix is"])
        if done.returncode:
            why = (done.stderr.strip().splitlines() or ["no reason given"])[-1].strip()
            return Found(left=[f"`{LOCK}`: Nix could not look for newer inputs ({why})"])
        # Nix writes none where nothing is newer.
        text = newer.read_text() if newer.exists() else lock.read_text()
    before, after = _inputs(lock.read_text()), _inputs(text)
    found = Found([
        Newer(name, _said(before[name]) if name in before else "none", _said(locked), LOCK)
        for name, locked in after.items()
        if before.get(name) != locked
    ])  # fmt: skip
    if write and found.newer:
        write_whole(lock, text)
    return found


def _inputs(lock: str) -> dict[str, dict[str, Any]]:
    """What each of the flake's own inputs is locked to, by its name."""
    nodes = json.loads(lock)["nodes"]
    own = nodes["root"].get("inputs", {})
    return {name: nodes[node]["locked"] for name, node in sorted(own.items()) if isinstance(node, str)}


def _said(locked: dict[str, Any]) -> str:
    day = datetime.fromtimestamp(int(locked.get("lastModified", 0)), UTC).date()
    return f"{day} ({str(locked.get('rev') or locked.get('narHash', ''))[:7]})"
