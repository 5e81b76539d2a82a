"""`aether explain`: the page of an error, of a deployment (docs/errors) or of the inventory (inventory/codes.py)."""

import re
import sys
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table

from inventory import codes
from inventory.blocks import replaced
from inventory.files import REPOSITORY
from inventory.problems import did_you_mean
from ops.arguments import parser
from ops.stack import PAGES, OpsError, Stack

BEGIN, END = "<!-- codes:begin -->", "<!-- codes:end -->"
HEADINGS = ("The host now", "Causes", "Do", "Example")
"""What each page of a deployment's code has below its title, in this order."""


def explain(_: Stack, arguments: list[str]) -> int:
    """What an error means: an exit code of a deployment (31), or a code of the inventory's (canary-roams). Asks nobody."""
    made = parser("explain", explain)
    made.add_argument("codes", nargs="*", metavar="CODE")
    made.add_argument("--list", action="store_true", help="every code, a line each")
    made.add_argument("--write", type=Path, metavar="FILE", help="replace the block of exit codes in FILE (docs/runbook.md)")
    options = made.parse_args(arguments)
    out = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    if options.write:
        options.write.write_text(replaced(options.write.read_text(), BEGIN, END, table()))
        return 0
    if options.list or not options.codes:
        out.print(_listing())
        return 0
    pages = [text_of(code) for code in options.codes]
    for text in pages:
        out.print(Markdown(_without_links(text)))
    return 0


def text_of(code: str) -> str:
    """The page of CODE, as Markdown.

    Raises:
        OpsError: there is no such code.
    """
    if code in deployments():
        return (PAGES / f"{code}.md").read_text()
    if code in codes.reports():
        return codes.page(code)
    known = [*deployments(), *codes.reports()]
    wrong = f"'{code}' is no code of an error{did_you_mean(code, known)}"
    raise OpsError(f"{wrong}{'' if wrong.endswith('?') else '.'} Fix: ./aether explain --list shows them all")


def deployments() -> dict[str, tuple[str, str]]:
    """What each exit code of a deployment means, and what the host is in then: the first words of its page."""
    found = {}
    for path in sorted(PAGES.glob("[0-9]*.md"), key=lambda path: int(path.stem)):
        text = path.read_text()
        title = text.partition("\n")[0].removeprefix(f"# {path.stem}: ")
        host = text.partition(f"## {HEADINGS[0]}\n")[2].partition("\n\n")[0].replace("\n", " ")
        found[path.stem] = (title, host[:1].lower() + host[1:].rstrip("."))
    return found


def table() -> str:
    """The runbook's table of exit codes, as Markdown."""
    rows = [f"| [{code}](errors/{code}.md) | {means} | {host} |" for code, (means, host) in deployments().items()]
    return "\n".join(["", "| code | means | the host |", "|---|---|---|", *rows, ""])


def _without_links(text: str) -> str:
    """TEXT, of docs/errors, with the file instead of a link to it."""

    def named(link: re.Match[str]) -> str:
        page = (PAGES / link[2].partition("#")[0]).resolve().relative_to(REPOSITORY)
        return f"{link[1]} ({page})"

    return re.sub(r"\[([^\]]*)\]\((?!https?:)([^)]*)\)", named, text)


def _listing() -> Table:
    listing = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("code", "means"):
        listing.add_column(column, no_wrap=column == "code")
    for code, (means, host) in deployments().items():
        listing.add_row(code, f"{means} (the host: {host.partition('. ')[0]})")
    for group, about in codes.groups():
        for number, code in enumerate(group):
            listing.add_row(code, "" if number else re.sub(r" \(\[[^\]]*\]\([^)]*\)\)", "", about))
    return listing
