"""What looks like a secret in plain text: must not be in an inventory, in secrets/ or in a message."""

import re

_SHAPES = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----|AGE-SECRET-KEY-1|AGE-SECRET-KEY-PQ-1",
    "a GitHub token": r"\b(gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{50,})",
    "an AWS key": r"\b(AKIA|ASIA)[0-9A-Z]{16}\b",
    "a GitLab token": r"\bglpat-[A-Za-z0-9_-]{20,}",
    "a Tailscale key": r"\btskey-[a-z]+-[A-Za-z0-9-]+",
    "a Slack token": r"\bxox[abprs]-[A-Za-z0-9-]{10,}",
    "a Vault token": r"\b(hvs|s)\.[A-Za-z0-9]{24,}",
    "a JSON web token": r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.",
    "a password hash": r"\$(6|5|y|2[aby]|argon2id?)\$[^\s]{20,}",
    "a URL with a password": r"\b[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s:@]+@",
}
_NAMES = re.compile(
    r"(^|[_-])(pass(word|wd|phrase)?|secret|token|api[_-]?key|private[_-]?key|psk|credentials?)$",
    re.IGNORECASE,
)
_COMPILED = {what: re.compile(shape) for what, shape in _SHAPES.items()}


def why_secret(name: str, value: str) -> str | None:
    """What secret VALUE of a field called NAME is, like ``a private key``; None when it is none."""
    for what, shape in _COMPILED.items():
        if shape.search(value):
            return what
    return f"the value of '{name}'" if _NAMES.search(name) and value else None
