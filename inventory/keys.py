"""Making key pairs, and writing their public halves into an inventory file in place."""

import re
import subprocess
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path

from inventory.files import write_whole
from inventory.problems import HEADER


def new_ssh_key(comment: str = "") -> tuple[str, str]:
    """(private, public) of a new Ed25519 key pair: OpenSSH PEM and one line ``ssh-ed25519 AAAA…``.

    Raises:
        RuntimeError: ssh-keygen is missing or fails.
    """
    with tempfile.TemporaryDirectory(prefix="aether-key-") as folder:
        path = Path(folder, "key")
        try:
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)],
                check=True,
                capture_output=True,
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise RuntimeError(f"ssh-keygen failed: {error}. Fix: install OpenSSH's client") from None
        return path.read_text(), bare(path.with_suffix(".pub").read_text())


def bare(public_key: str) -> str:
    """Type and key of a public key line, without its comment."""
    return " ".join(public_key.split()[:2])


def set_fields(path: Path, table: str, values: Mapping[str, str | list[str]]) -> None:
    """Set fields of ``[TABLE]`` in the TOML file PATH; comments, order and everything else stay.

    Raises:
        ValueError: no such table, or it is not written as ``[TABLE]`` on a line of its own.
    """
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    headers = [(i, match.group(1)) for i, line in enumerate(lines) if (match := HEADER.match(line.rstrip("\n")))]
    start = next((i for i, name in headers if name == table), None)
    if start is None:
        raise ValueError(f"{path}: no table [{table}]; write it on a line of its own")
    for field, value in values.items():
        end = next((i for i, line in enumerate(lines) if i > start and HEADER.match(line.rstrip("\n"))), len(lines))
        line = f"{field} = {_toml(value)}\n"
        at = next((i for i in range(start + 1, end) if re.match(rf"{re.escape(field)}\s*=", lines[i])), None)
        if at is None:
            while end > start + 1 and not (lines[end - 1].strip() and not lines[end - 1].startswith("#")):
                end -= 1
            lines.insert(end, line)
            continue
        last = at
        # A list may go over several lines.
        while not _parses("".join(lines[at : last + 1])) and last + 1 < end:
            last += 1
        comment = re.search(r"\s+#[^\"'\]]*$", lines[last].rstrip("\n"))
        lines[at : last + 1] = [line.rstrip("\n") + (comment.group(0) if comment else "") + "\n"]
    text = "".join(lines)
    tomllib.loads(text)
    write_whole(path, text)


def _parses(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _toml(value: str | list[str]) -> str:
    return f"[{', '.join(_toml(each) for each in value)}]" if isinstance(value, list) else f'"{value}"'
