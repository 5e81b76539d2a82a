"""What a Caddyfile says."""

import re


def site(caddyfile: str, name: str) -> str:
    """Block of a site in a Caddyfile, by counting braces."""
    begin = re.search(rf"^\s*{re.escape(name)}\s", caddyfile, re.MULTILINE)
    assert begin, name
    depth, start = 0, caddyfile.index("{", begin.start())
    for position in range(start, len(caddyfile)):
        depth += {"{": 1, "}": -1}.get(caddyfile[position], 0)
        if depth == 0:
            return caddyfile[start : position + 1]
    raise AssertionError(f"{name} is not closed")
