"""Lookup of one secret: from the environment, else from the host's sops file, else from the owner's KeePassXC database.

``lookup('aether_secret', 'wireguard-private-key')`` reads ``AETHER_SECRET_WIREGUARD_PRIVATE_KEY``, else key
``wireguard-private-key`` of ``secrets/hosts/INVENTORY_HOSTNAME.yaml``, else what ``aether_keepass`` finds. The value goes to
tasks that carry ``no_log`` and is in no command line: sops gets its key by ``SOPS_AGE_KEY_FILE``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible.plugins.loader import lookup_loader
from ansible.plugins.lookup import LookupBase

DOCUMENTATION = r"""
name: aether_secret
short_description: A secret of a host
description:
  - Reads the environment variable AETHER_SECRET_NAME, else the key of the host's file in AETHER_SECRETS (default secrets/),
    else the entry of the KeePassXC database that AETHER_KEEPASS names.
options:
  _terms:
    description: Names of secrets, as keys of the sops file.
    required: true
  host:
    description: Whose file; default is the host that the task runs for.
    type: str
  required:
    description: Fail where the secret is nowhere; otherwise the empty string is returned.
    type: bool
    default: false
"""

REPOSITORY = Path(__file__).resolve().parents[2]
# inventory/generate.py; a value that is still this one is none.
UNSET = "REPLACE-ME"
# One decryption a file and process: sops takes 30 ms each.
_FILES: dict[tuple[str, int], dict[str, Any]] = {}


class LookupModule(LookupBase):  # type: ignore[misc]
    """Returns a list with one string for each name."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        """Raises AnsibleError with what to write where a required secret is missing or a file cannot be decrypted."""
        self.set_options(var_options=variables, direct=kwargs)
        host = self.get_option("host") or (variables or {}).get("inventory_hostname", "localhost")
        return [self._secret(name, host, variables or {}) for name in terms]

    def _secret(self, name: str, host: str, variables: dict[str, Any]) -> str:
        variable = "AETHER_SECRET_" + name.upper().replace("-", "_")
        if _set(os.environ.get(variable)):
            return os.environ[variable]
        directory = Path(os.environ.get("AETHER_SECRETS") or REPOSITORY / "secrets")
        file = directory / "hosts" / f"{host}.yaml"
        if file.exists() and name in _keys(file):
            value = str(self._decrypt(file, variables)[name])
            if _set(value):
                return value
        keepass = lookup_loader.get("aether_keepass", loader=self._loader, templar=self._templar)
        kept = str(keepass.run([name], variables={**variables, "inventory_hostname": host})[0])
        if _set(kept):
            return kept
        if self.get_option("required"):
            raise AnsibleError(
                f"secret '{name}' of host '{host}' is nowhere, or not set yet: write a line `{name}: …` with `sops {file}`, "
                f"or set {variable}"
            )
        return ""

    def _decrypt(self, file: Path, variables: dict[str, Any]) -> dict[str, Any]:
        key = (str(file), file.stat().st_mtime_ns)
        if key not in _FILES:
            sops = lookup_loader.get("community.sops.sops", loader=self._loader, templar=self._templar)
            try:
                text = sops.run([str(file)], variables=variables)[0]
            except AnsibleError as error:
                raise AnsibleError(
                    f"{file} cannot be decrypted; is SOPS_AGE_KEY_FILE the key of one of its recipients? sops: {error}"
                ) from error
            _FILES[key] = yaml.safe_load(text) or {}
        return _FILES[key]


def _set(value: str | None) -> bool:
    """Whether there is a value; what only the owner can know is UNSET at first."""
    return bool(value) and value != UNSET


def _keys(file: Path) -> set[str]:
    """Names in a sops YAML file: sops leaves them readable."""
    return set(yaml.safe_load(file.read_text()) or {}) - {"sops"}
