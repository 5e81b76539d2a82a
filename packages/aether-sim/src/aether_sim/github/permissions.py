"""Which permission of a fine-grained token each endpoint asks for.

Source: https://docs.github.com/rest/authentication/permissions-required-for-fine-grained-personal-access-tokens
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_R, _W = "read", "write"
_REPOSITORY = r"/repos/[^/]+/[^/]+"
# Method (a pattern), path (a pattern), permission, level. The first that matches counts.
_TABLE: tuple[tuple[str, str, str, str], ...] = (
    ("POST", r"/user/repos", "administration", _W),
    ("GET", _REPOSITORY, "metadata", _R),
    ("PATCH|DELETE", _REPOSITORY, "administration", _W),
    ("PUT", rf"{_REPOSITORY}/topics", "administration", _W),
    ("GET", rf"{_REPOSITORY}/vulnerability-alerts", "administration", _R),
    ("PUT|DELETE", rf"{_REPOSITORY}/vulnerability-alerts", "administration", _W),
    ("GET", rf"{_REPOSITORY}/actions/permissions(/.*)?", "administration", _R),
    ("PUT", rf"{_REPOSITORY}/actions/permissions(/.*)?", "administration", _W),
    ("GET", rf"{_REPOSITORY}/rulesets(/\d+)?", "metadata", _R),
    ("POST|PUT|DELETE", rf"{_REPOSITORY}/rulesets(/\d+)?", "administration", _W),
    ("GET", rf"{_REPOSITORY}/environments/[^/]+(/deployment-branch-policies.*)?", "actions", _R),
    ("POST|PUT|DELETE", rf"{_REPOSITORY}/environments/[^/]+(/deployment-branch-policies.*)?", "administration", _W),
    ("GET", r"/repositories/\d+/environments/[^/]+/secrets/.*", "environments", _R),
    ("PUT|DELETE", r"/repositories/\d+/environments/[^/]+/secrets/.*", "environments", _W),
    ("GET", rf"{_REPOSITORY}/actions/.*", "actions", _R),
    ("POST", rf"{_REPOSITORY}/actions/.*", "actions", _W),
    ("GET", rf"{_REPOSITORY}/(branches|commits|contents|git)(/.*)?", "contents", _R),
    ("POST|PUT|PATCH|DELETE", rf"{_REPOSITORY}/(contents|git)/.*", "contents", _W),
)
# What docs/image.md tells an owner to give: the simulator's token has no more.
GRANTED: Mapping[str, str] = dict.fromkeys(("administration", "actions", "contents", "environments", "workflows"), _W)
EVERYTHING: Mapping[str, str] = dict.fromkeys(
    ("administration", "actions", "contents", "environments", "metadata", "workflows"), _W
)


def needed(method: str, path: str) -> tuple[str, str] | None:
    """Permission and level that METHOD on PATH asks for; None where any token will do."""
    for methods, pattern, permission, level in _TABLE:
        if re.fullmatch(methods, method) and re.fullmatch(pattern, path):
            return permission, level
    return None


def refusal(method: str, path: str, granted: Mapping[str, str]) -> str | None:
    """What the answer's X-Accepted-GitHub-Permissions says when a token with GRANTED may not; None when it may."""
    asked = needed(method, path)
    if asked is None:
        return None
    permission, level = asked
    # Every token of a repository may read its metadata.
    have = granted.get(permission, _R if permission == "metadata" else "")
    return None if have in (_W, level) else f"{permission}={level}"


def writes_workflows(path: str) -> bool:
    """Whether writing PATH asks for the permission `workflows` as well."""
    return path.startswith(".github/workflows/")
