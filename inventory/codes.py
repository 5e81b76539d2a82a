"""What may be wrong with an inventory, by code: sentences that are read from the rules themselves (ruletext.py), so that no page
says what no rule does, and what a row of docs/inventory.md says of a group of codes.
"""

import ast
import re
from collections import defaultdict
from functools import cache

from inventory.files import REPOSITORY
from inventory.ruletext import LATE, Report, Source

TABLE = REPOSITORY / "docs/inventory.md"


@cache
def reports() -> dict[str, tuple[Report, ...]]:
    """Every report by its code, in the order of the source."""
    found: dict[str, dict[Report, None]] = defaultdict(dict)
    for path in [*sorted((REPOSITORY / "inventory").rglob("*.py")), *(REPOSITORY / name for name in LATE)]:
        name = path.relative_to(REPOSITORY).as_posix()
        for code, report in Source(name, ast.parse(path.read_text(encoding="utf-8"))).reports():
            found[code][report] = None
    return {code: tuple(each) for code, each in sorted(found.items())}


def groups() -> list[tuple[tuple[str, ...], str]]:
    """The rows of docs/inventory.md: the codes of a group, and what they are about."""
    rows = re.findall(r"^\| ((?:`[a-z-]+`(?:, )?)+) \| (.+) \|$", TABLE.read_text(encoding="utf-8"), re.MULTILINE)
    known = reports()
    named = [(tuple(re.findall(r"`([a-z-]+)`", codes)), about) for codes, about in rows]
    return [(codes, about) for codes, about in named if set(codes) & set(known)]


def page(code: str) -> str:
    """The page of CODE, as Markdown that stands in docs/errors.

    Raises:
        KeyError: no rule has it.
    """
    found = reports()[code]
    about = next((text for codes, text in groups() if code in codes), "")
    about = re.sub(r"\]\((?!https?:)", "](../", about[:1].upper() + about[1:].rstrip("."))
    if all(report.file in LATE for report in found):
        when = "`preview` and `up` say it, before anything is changed."
    else:
        when = "`./aether inventory check` says it, and whatever reads the inventory. Nothing has been contacted then."
    files = ", ".join(dict.fromkeys(f"`{report.file}`" for report in found))
    parts = [f"# {code}", f"{about}.", *dict.fromkeys(report.why for report in found if report.why), f"{when} The rule: {files}."]
    said = "\n".join(str(report) for report in dict.fromkeys(found))
    return "\n\n".join([*parts, "## What it says", f"```\n{said}\n```"]) + "\n"
