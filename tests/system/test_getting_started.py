"""docs/getting-started.md, followed: its commands are read from the page and run in its order.

Blocks called by-hand need a network, a node or a person.
"""

import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from inventory.files import REPOSITORY
from tests.system import fleets
from tests.system.checkout import Checkout, Result, share

PAGE = REPOSITORY / "docs/getting-started.md"
# What a shell remembers from one block to the next.
WHERE = "pwd >{0}/where; export -p >{0}/exported"


@dataclass(frozen=True)
class Block:
    """A block of the page: commands, or a file to write."""

    kind: str
    """sh, sh by-hand, or nix FILE."""
    text: str

    @property
    def is_run(self) -> bool:
        return self.kind == "sh"


def blocks() -> list[Block]:
    return [Block(kind.strip(), text) for kind, text in re.findall(r"^```(\S[^\n]*)\n(.*?)^```", PAGE.read_text(), re.M | re.S)]


class Shell:
    """A person's terminal: where it is and what is exported stays from block to block."""

    def __init__(self, aether: Checkout, notes: Path) -> None:
        self.checkout, self.notes = aether, notes
        (notes / "where").write_text(f"{aether.path}\n")
        (notes / "exported").write_text("")

    @property
    def where(self) -> Path:
        return Path((self.notes / "where").read_text().strip())

    def run(self, text: str) -> Result:
        notes = shlex.quote(str(self.notes))
        script = f". {notes}/exported\ncd {shlex.quote(str(self.where))}\nset -eu\n{text}\n{WHERE.format(notes)}\n"
        return self.checkout.run("bash", "-c", script, timeout=600)


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Result]]:
    """Every block that is run, by its text, with what it said. The fleet is taken down at the end."""
    folder = tmp_path_factory.mktemp("first hour")
    (folder / "notes").mkdir()
    aether = fleets.clone(folder / "aether", folder / "home")
    aether.environment |= {"PULUMI_CONFIG_PASSPHRASE": "of a test", "PULUMI_CREDENTIALS_PATH": str(folder / "login")}
    shell = Shell(aether, folder / "notes")
    said: dict[str, Result] = {}
    fleet = Checkout(folder / "homelab", environment=aether.environment)
    try:
        for number, block in enumerate(blocks()):
            if block.kind.startswith("nix "):
                file = shell.where / block.kind.removeprefix("nix ")
                assert file.exists(), f"{file}: the page changes what init did not make"
                file.write_text(block.text)
            elif block.is_run:
                result = shell.run(block.text)
                assert result.code == 0, f"{block.text}\n{result.text[-4000:]}"
                said[f"{number} {block.text}"] = result
                if "./aether init ../homelab" in block.text:
                    share(fleet.path)
        yield said
    finally:
        if (fleet.path / ".venv").exists():
            fleet.close()


def saying(followed: dict[str, Result], command: str) -> list[Result]:
    """What the blocks with COMMAND said, in order."""
    found = [result for text, result in followed.items() if re.search(rf"(?m)^\d* ?{re.escape(command)}", text)]
    assert found, f"no block of the page runs {command}"
    return found


def test_blocks_are_commands_to_run_by_hand_or_files() -> None:
    kinds = {block.kind.partition(" ")[0] if block.kind.startswith("nix ") else block.kind for block in blocks()}
    assert kinds == {"sh", "sh by-hand", "nix"}


def test_the_fleet_comes_up_and_changes_no_more(followed: dict[str, Result]) -> None:
    (first, *_) = saying(followed, "make up")
    assert first.changes()["created"] > 15, first.text
    assert "policy" not in first.text, "what init makes breaks no rule of Aether's own"
    (again, *_) = saying(followed, "make preview")
    assert set(again.changes()) == {"unchanged"}, again.text


def test_the_fleet_is_where_it_was_wanted(followed: dict[str, Result]) -> None:
    (made,) = saying(followed, "./aether init ../homelab --answers")
    assert re.search(r"(?m)^/.*/homelab is a git repository with your fleet\.$", made.text) and "/../" not in made.text


def test_a_change_is_one_host_and_is_taken_back(followed: dict[str, Result]) -> None:
    change = saying(followed, "make preview")[1].text
    assert re.search(r"~ 1 to update", change) and re.search(r"~ 1 updated", change), change
    assert "apps: committed as generation 3" in change
    (back,) = saying(followed, "make rollback HOST=apps")
    assert "apps: goes back to" in back.text
    assert re.search(r"~ 1 updated", back.text), back.text
    assert re.search(r"apps .* running", back.text)


def test_the_backup_is_restored_and_good(followed: dict[str, Result]) -> None:
    (restored,) = saying(followed, "ssh -F .aether/ssh/sim/config pve vzdump 201")
    assert "apps: restored, and good" in restored.text, restored.text


def test_the_lines_for_the_node_and_the_token_are_printed(followed: dict[str, Result]) -> None:
    (role,) = saying(followed, "./aether --stack homelab proxmox role")
    assert "pveum role add" in role.text and "pveum user token add" in role.text
    assert "/storage/local-lvm" in role.text
    assert "pulumi -s homelab config set --secret aether:proxmoxApiToken" in role.text


def test_the_secrets_hold_and_aether_is_at_its_newest(followed: dict[str, Result]) -> None:
    (last,) = saying(followed, "./aether secrets check")
    assert "OK: 4 files" in last.text, "of node, container, virtual machine and fleet"
    assert "already" in last.text


def test_nothing_of_the_simulator_is_left(followed: dict[str, Result]) -> None:
    (down,) = saying(followed, "make down")
    assert "simulator stopped" in down.text


def test_every_command_by_hand_exists() -> None:
    """Those that no test runs are understood at least; options are looked at by tests/unit/test_documented_commands.py."""
    by_hand = [line.split("#")[0].strip() for block in blocks() if block.kind == "sh by-hand" for line in block.text.splitlines()]
    targets = subprocess.run(["make", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    for words in (line.split() for line in by_hand if line.startswith("make ")):
        assert re.search(rf"(?m)^  {words[1]}\s", targets), words
