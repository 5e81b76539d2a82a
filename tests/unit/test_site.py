"""The documentation as a site: every page, every link, and nothing of others' servers."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from inventory.models import InventoryFile
from ops.__main__ import COMMANDS, MODULES, PACKAGES

pytest.importorskip("material", reason="mkdocs-material is not installed: uv sync --group site")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_is_there_and_no_link_is_dead(site: Path) -> None:
    """Strict: a link or an anchor that leads nowhere, and a page that no list names, end the build."""
    wanted = {path.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    wanted = {name.replace("README.html", "index.html") for name in wanted} | {"project.html", "CHANGELOG.html", "commands.html"}
    assert wanted <= {path.relative_to(site).as_posix() for path in site.rglob("*.html")}


def test_commands_are_those_that_there_are(site: Path) -> None:
    text = (site / "commands.html").read_text()
    assert all(f'id="{name}"' in text and f"usage: aether {name}" in text for name in (*COMMANDS, *MODULES, *PACKAGES))


def test_every_field_of_an_inventory_is_there(site: Path) -> None:
    text = (site / "fields.html").read_text()
    schema = InventoryFile.model_json_schema()
    for name, model in [*schema["$defs"].items(), ("tables-of-the-file", schema)]:
        for field in model.get("properties", ()):
            assert f'id="{name.lower()}"' in text and f"<code>{field}</code>" in text, (name, field)
    assert "Bytes; default: 1500." in text


def test_a_reader_asks_nobody_else(site: Path) -> None:
    asked = {
        target
        for path in site.rglob("*.html")
        for target in re.findall(r'<(?:script|link|img|iframe)[^>]* (?:src|href)="(https?://[^"]+)"', path.read_text())
    }
    assert asked == set()
