"""What a refind.conf says."""

import re


def stanzas(conf: str) -> dict[str, dict[str, str]]:
    """Manual entries of a refind.conf: title to its settings."""
    found = {}
    for title, body in re.findall(r'^menuentry "([^"]+)" \{\n(.*?)^\}', conf, re.MULTILINE | re.DOTALL):
        found[title] = dict(line.strip().split(maxsplit=1) for line in body.splitlines() if line.strip())
    return found


def on_esp(path: str) -> str:
    return path.replace("\\", "/").lstrip("/")
