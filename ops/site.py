"""Hooks of mkdocs.yml: pages that docs/ does not have, of the repository's own and of the commands, and links to them."""

import contextlib
import io
import re
import subprocess
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

from inventory import codes, reference
from inventory.files import REPOSITORY

# Of the repository's ground floor, by their names in the site.
OWN = {
    "README.md": "project.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "SECURITY.md": "SECURITY.md",
}


def on_files(files: Files, config: Any, **_: object) -> Files:
    """Add the pages that are made; those of the inventory's codes are reached from where the codes are listed."""
    made = {name: _from_ground((REPOSITORY / file).read_text()) for file, name in OWN.items() if (REPOSITORY / file).exists()}
    for name, text in {**made, "commands.md": commands(), "fields.md": reference.page()}.items():
        files.append(File.generated(config, name, content=text))
    for code in codes.reports():
        made_of = File.generated(config, f"errors/{code}.md", content=codes.page(code), inclusion=InclusionLevel.NOT_IN_NAV)
        files.append(made_of)
    return files


def on_page_markdown(markdown: str, page: Any, **_: object) -> str:
    """Links out of docs/ lead to where the page stands here; to what is no page they are words."""
    if page.file.generated_by:
        return markdown
    for file, name in OWN.items():
        markdown = re.sub(rf"\]\(\.\./{re.escape(file)}(#[^)]*)?\)", rf"]({name}\1)", markdown)
    if page.file.src_uri == "inventory.md":
        for code in (code for group, _ in codes.groups() for code in group):
            # Where it is listed, which is the only place where it stands between commas and bars.
            markdown = re.sub(rf"(?m)^(\|.*?)(?<!\[)`{code}`(?=,| \|)", rf"\1[`{code}`](errors/{code}.md)", markdown)
    return markdown


def commands() -> str:
    """What `aether` and each of its commands say with --help."""
    from ops.__main__ import COMMANDS, MODULES, PACKAGES

    parts = ["# Commands", "", "What each command says of itself.", "", "```", _help([]), "```"]
    for name in (*COMMANDS, *MODULES):
        parts += ["", f"## {name}", "", "```", _help([name]), "```"]
    for name in PACKAGES:
        said = subprocess.run([REPOSITORY / "aether", name, "--help"], capture_output=True, text=True, check=True).stdout
        parts += ["", f"## {name}", "", "```", said.rstrip(), "```"]
    return "\n".join(parts) + "\n"


def _help(words: list[str]) -> str:
    from ops.__main__ import main

    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        main([*words, "--help"])
    return said.getvalue().rstrip()


def _from_ground(text: str) -> str:
    """A page of the repository's root as it reads from docs/."""

    def link(match: re.Match[str]) -> str:
        words, target = match[1], match[2]
        if re.match(r"https?://|mailto:|#", target):
            return match[0]
        file, _, anchor = target.partition("#")
        name = OWN.get(file) or (file.removeprefix("docs/") if file.startswith("docs/") and file.endswith(".md") else "")
        return f"[{words}]({name}{'#' + anchor if anchor else ''})" if name else words

    return re.sub(r"\[([^\]]+)\]\(([^)\s]+)\)", link, text)
