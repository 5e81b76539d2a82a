"""What README and the first machine's page tell to type exists: targets, commands and their options, paths, the example host."""

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from bench.fleet import public_key
from inventory.agekey import recipient
from inventory.load import load
from ops.__main__ import COMMANDS, MODULES, PACKAGES

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/first-machine.md", "docs/getting-started.md", "docs/lab.md", "docs/migration.md")
FOLDERS = "ansible bench components docs home image inventory nix ops packages secrets stacks tests"
# Of the example host, of a fleet as `init` makes it, and what a checkout makes of itself.
NOT_HERE = {
    "nix/hosts/pve/apps.nix",
    "nix/own/fleet.nix",
    "nix/hosts/trinity/notes.nix",
    "secrets/hosts/notes.yaml",
    "secrets/hosts/HOST.yaml",
    "inventory/pve-root-ca.pem",
    # .aether/ssh/sim/config
    "sim/config",
}


def commands(page: str) -> list[str]:
    """Lines of fences and code spans that are commands of the project."""
    text = (REPOSITORY / page).read_text()
    fences = [line for block in re.findall(r"```(?:sh[ \w-]*)?\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    found = []
    for line in (*fences, *spans):
        for part in re.split(r";|&&", re.split(r"\s{2,}|\s#", line.strip())[0]):
            if re.match(r"(make|\./aether) ", part.strip()):
                found.append(part.strip())
    return found


FOUND = sorted({command for page in PAGES for command in commands(page)})


@cache
def understood(*words: str) -> str:
    """What a command says of itself."""
    command = [sys.executable, "-m", "ops", *words, "--help"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout


def test_commands_were_found() -> None:
    assert len(FOUND) > 20, FOUND


@pytest.mark.parametrize("command", [each for each in FOUND if each.startswith("make ")])
def test_a_target_exists(command: str) -> None:
    words = [word for word in shlex.split(command)[1:] if "…" not in word and word != "TARGET"]
    targets = {line.split(":")[0] for line in (REPOSITORY / "Makefile").read_text().splitlines() if re.match(r"[a-z-]+:", line)}
    assert {word for word in words if "=" not in word} <= targets
    # Its variables are those that the Makefile reads.
    variables = {word.split("=")[0] for word in words if "=" in word}
    assert all(f"$({name})" in (REPOSITORY / "Makefile").read_text() for name in variables), variables


@pytest.mark.parametrize("command", [each for each in FOUND if each.startswith("./aether")])
def test_a_command_exists_and_knows_its_options(command: str) -> None:
    words = [word for word in shlex.split(command.replace("…", ""))[1:] if word]
    words = words[2:] if words[:1] == ["--stack"] else words
    assert words[0] in (*COMMANDS, *MODULES, *PACKAGES), command
    verbs: list[str] = []
    for word in words:
        named = not verbs or re.search(rf"(?m)^\s+{word}\b|[{{,]{word}[,}}]", understood(*verbs))
        if re.fullmatch(r"[a-z][a-z-]*", word) and named:
            verbs.append(word)
    for option in (word.split("=")[0] for word in words if word.startswith("--")):
        assert any(option in understood(*verbs[:depth]) for depth in range(1, len(verbs) + 1)), command


@pytest.mark.parametrize("page", PAGES)
def test_a_path_that_is_named_exists(page: str) -> None:
    text = (REPOSITORY / page).read_text()
    paths = set(
        re.findall(rf"\b((?:{FOLDERS.replace(' ', '|')})/[\w./-]*\w)", re.sub(r"\]\([^)]*\)|://\S+|/nix/store", "", text))
    )
    missing = {path for path in paths if not (REPOSITORY / path).exists()} - NOT_HERE
    assert not missing


def test_the_example_host_fits_the_example_inventory(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(\[hosts\.notes\].*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    key = public_key("notes")
    # As `secrets rotate` writes it.
    example = re.sub(r'host_key = "ssh-ed25519 …".*', f'host_key = "{key}"\nage_recipient = "{recipient(key)}"', example)
    text = (REPOSITORY / "inventory/homelab.toml").read_text() + example
    (tmp_path / "homelab.toml").write_text(text)
    assert load(tmp_path / "homelab.toml").hosts["notes"].health
