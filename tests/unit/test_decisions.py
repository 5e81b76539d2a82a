"""Rules and pages for people: what the pages say, and as far as it can be seen, that the repository keeps to it."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
BIFROST = DOCS / "bifrost"
# What installs on a machine for good. On the operator's own machine that is another thing (docs/getting-started.md).
BY_HAND = re.compile(
    r"\b(?:rpm-ostree|dnf|apt-get|apt|flatpak) (?:install|override|kargs)\b|\bnix (?:profile install|profile add)\b|\bnix-env -i"
)
# A demonstration of drift, which the next lines take back.
SHOWN = {"tour.md"}


def headings(page: Path) -> list[str]:
    return re.findall(r"(?m)^## (.+)$", page.read_text())


def test_what_must_be_the_same_everywhere_is_done_by_no_hand() -> None:
    assert (
        "What must be the same on the next machine is in a role of `ansible/`, in `nix/` or in the image's recipe"
        in (DOCS / "home.md").read_text()
    )
    pages = [*DOCS.rglob("*.md"), *(REPOSITORY / name / "README.md" for name in ("home", "image", "ansible", "nix"))]
    found = {
        f"{page.name}: {line}"
        for page in pages
        if page.exists() and page.name not in SHOWN
        for line in page.read_text().splitlines()
        if BY_HAND.search(line)
    }
    assert found == set(), "write a role, or a module of the recipe"


@pytest.mark.parametrize(
    "line", ["sudo rpm-ostree install htop", "flatpak install --user flathub X", "nix profile install nixpkgs#jq"]
)
def test_an_installation_by_hand_would_be_seen(line: str) -> None:
    assert BY_HAND.search(line)


def test_specification_and_runbook_are_folders_of_their_own() -> None:
    """The specification's `0_spec/`: what it is, and what to do, apart."""
    assert {page.name for page in BIFROST.iterdir()} == {"README.md", "architecture.md", "runbook.md"}
    wanted = ("Comparison", "Disk", "ESP", "Decisions", "Build pipeline")
    assert [heading for heading in headings(BIFROST / "architecture.md") if heading in wanted] == list(wanted)
    steps = [heading.split(". ")[0] for heading in headings(BIFROST / "runbook.md")]
    assert steps == [str(number) for number in range(1, len(steps) + 1)], "steps in their order"
    titles = " ".join(headings(BIFROST / "runbook.md"))
    assert all(word in titles for word in ("Backup", "Install NixOS", "Install Kinoite", "Restore", "Ways back"))


def test_the_specification_names_the_formats_that_there_are() -> None:
    page = (BIFROST / "architecture.md").read_text()
    named = set(re.findall(r"FORMAT=(\w+)", page))
    formats = (REPOSITORY / "nix/images/formats.nix").read_text()
    assert {"raw", "iso", "qcow", "vm"} <= named
    for name in named:
        assert re.search(rf"\b{name}\b", formats), name


def test_no_file_of_ours_takes_selinux_s_force() -> None:
    """The page says that Kinoite is better at it; image/tests/image.sh asks the built image."""
    assert "SELinux" in (BIFROST / "architecture.md").read_text()
    files = [path for folder in ("image", "ansible", "home") for path in (REPOSITORY / folder).rglob("*") if path.is_file()]
    force = re.compile(r"setenforce|SELINUX=(?:permissive|disabled)|selinux=0|enforcing=0")
    assert [
        path.name for path in files if b"\0" not in (text := path.read_bytes()) and force.search(text.decode(errors="replace"))
    ] == []


def test_the_first_workstation_is_a_virtual_machine() -> None:
    rows = re.findall(r"(?m)^\| (\d), ([^|]+) \| ([^|]+) \|", (DOCS / "migration.md").read_text())
    assert [(number, machine) for number, machine, _ in rows] == [("1", "a virtual machine"), ("2", "the real machine")]
    assert "the same entry in the inventory, the same command" in rows[1][2]
