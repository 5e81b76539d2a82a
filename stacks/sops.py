"""Secrets that the program itself needs, decrypted by sops while it runs; they are secrets in the state from the start."""

import json
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any

import pulumi

from inventory.files import REPOSITORY
from stacks.errors import SettingsError
from stacks.settings import Settings


def secret(settings: Settings, file: str, key: str) -> pulumi.Output[str]:
    """The value of KEY in FILE (relative to the stack's secrets).

    Raises:
        SettingsError: naming the file and the command that mends it.
    """
    values = _decrypted(REPOSITORY / settings.secrets / file, str(settings.secrets / file))
    if not isinstance(value := values.get(key), str) or not value:
        raise SettingsError(
            f"{settings.secrets / file}: holds no {key}. Fix: sops set {settings.secrets / file} '[\"{key}\"]' '\"VALUE\"'"
        )
    return pulumi.Output.secret(value)


@lru_cache
def _decrypted(path: Path, shown: str) -> dict[str, Any]:
    if not path.is_file():
        raise SettingsError(f"{shown} does not exist. Fix: sops edit {shown}")
    try:
        done = subprocess.run(
            ["sops", "decrypt", "--output-type", "json", str(path)], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise SettingsError("sops is not installed. Fix: install it, or make setup") from None
    if done.returncode:
        # The last line is sops's advice; no value is ever in it.
        raise SettingsError(f"{shown}: sops cannot decrypt it. Fix: set SOPS_AGE_KEY_FILE to a key that it is encrypted to")
    return dict(json.loads(done.stdout))
