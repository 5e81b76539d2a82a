"""States that releases left: recorded from a deployed simulated homelab, given back to a checkout of today.

Nothing secret and nothing of the machine that recorded it is kept: secrets are a word; addresses, paths and keys of its simulator
are the names of the settings that say them, which a checkout puts its own in for.

Record one, at a release, on a checkout whose stack `sim` is deployed: ``python -m tests.system.kept_state VERSION``
"""

import gzip
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from inventory.files import REPOSITORY
from ops.stack import Stack

FOLDER = Path(__file__).parent / "kept"
STACK = "sim"
_SECRET, _KIND = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"


def record(version: str) -> Path:
    """Keep what the deployed stack's state is; returns the file."""
    text = subprocess.run(
        Stack(STACK).command("stack", "export", "--show-secrets"),
        env=Stack(STACK).environment(), cwd=REPOSITORY, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    state = json.loads(text)
    # How the secrets were encrypted is the importing stack's to say.
    state["deployment"].pop("secrets_providers", None)
    state["deployment"].pop("manifest", None)
    plain = json.dumps(_without_secrets(state), sort_keys=True)
    for value, name in sorted(placeholders(REPOSITORY).items(), key=lambda item: -len(item[0])):
        plain = plain.replace(json.dumps(value)[1:-1], name)
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{version}.json.gz"
    # No time and no name in it: the same state is the same file.
    path.write_bytes(gzip.compress(plain.encode(), 9, mtime=0))
    return path


# Settings that have another name since a state was recorded.
RENAMED = {"aether:reachFile": "aether:endpointsFile"}


def restored(path: Path, repository: Path) -> str:
    """The state at PATH as the stack of the checkout at REPOSITORY, which is made, would have it; for `pulumi stack import`."""
    text = gzip.decompress(path.read_bytes()).decode()
    for old, new in RENAMED.items():
        text = text.replace(f"@{old}@", f"@{new}@")
    for value, name in placeholders(repository).items():
        text = text.replace(name, json.dumps(value)[1:-1])
    left = set(re.findall(r"@aether:\w+@", text))
    assert not left, f"{path.name} knows settings that the simulator of today has not: {left}"
    state = json.loads(text)
    salt = yaml.safe_load((repository / f".aether/sim/Pulumi.{STACK}.yaml").read_text())["encryptionsalt"]
    state["deployment"]["secrets_providers"] = {"type": "passphrase", "state": {"salt": salt}}
    return json.dumps(state)


def placeholders(repository: Path) -> dict[str, str]:
    """What is another one on each machine: values of the simulator's settings and the checkout's path, to their names."""
    config: Mapping[str, Any] = yaml.safe_load((repository / f".aether/sim/Pulumi.{STACK}.yaml").read_text())["config"]
    found = {str(value): f"@{key}@" for key, value in config.items() if "/" in str(value) or len(str(value)) > 12}
    found[str(repository)] = "@aether:repository@"
    # Tracked settings are the same everywhere.
    return {value: name for value, name in found.items() if value not in ("inventory/homelab.toml",)}


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get(_SECRET) == _KIND:
            return {_SECRET: _KIND, "plaintext": json.dumps(_blank(json.loads(value["plaintext"])))}
        return {key: _without_secrets(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    return value


def _blank(value: Any) -> Any:
    """VALUE's shape, with a word for every text."""
    if isinstance(value, dict):
        return {key: _blank(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_blank(item) for item in value]
    return "kept" if isinstance(value, str) and value else value


if __name__ == "__main__":
    print(record(sys.argv[1]))
