"""A fleet's repository takes what Aether changed since: what the owner changed stays, and the example never gets in."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from nix.tools import evaluate
from tests.system import fleets
from tests.system.checkout import Checkout, share

SHARED_FILE = "docs/runbook.md"
ANSWERS = """\
site = "attic"
user = "ada"
container = "names"
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fleets")


@pytest.fixture(scope="module")
def aether(home: Path) -> Checkout:
    return fleets.clone(home / "aether", home / "home")


@pytest.fixture(scope="module")
def first(aether: Checkout, home: Path) -> Checkout:
    """A fleet as `init` leaves it."""
    made = fleets.init(aether, home / "first", ANSWERS)
    assert made.code == 0, made.text
    share(home / "first")
    return Checkout(home / "first", environment=aether.environment)


@pytest.fixture
def fleet(aether: Checkout, first: Checkout, tmp_path: Path) -> Iterator[Checkout]:
    """A copy of it, and Aether as it was before the test."""
    before = fleets.git(aether.path, "rev-parse", "HEAD")
    fleets.git(tmp_path, "clone", "--quiet", str(first.path), str(tmp_path / "fleet"))
    share(tmp_path / "fleet")
    yield Checkout(tmp_path / "fleet", environment=first.environment)
    fleets.git(aether.path, "reset", "--quiet", "--hard", before)


def edit(checkout: Checkout, file: str, old: str, new: str, message: str) -> str:
    checkout.replace(file, old, new)
    return fleets.commit(checkout.path, message)


def upgrade(fleet: Checkout, *arguments: str) -> tuple[int, str]:
    result = fleet.run("./aether", "upgrade", *arguments)
    return result.code, result.text


def test_init_makes_a_repository_of_the_owners_own(aether: Checkout, first: Checkout) -> None:
    assert fleets.git(first.path, "status", "--porcelain") == ""
    assert len(fleets.git(first.path, "log", "--format=%s").splitlines()) == 2
    listed = set(fleets.git(first.path, "ls-files").splitlines())
    # Nothing of the example, and no tests.
    assert {name for name in listed if name.startswith("nix/hosts/")} == {
        *(name for name in listed if name.startswith("nix/hosts/local-vm/")),
        "nix/hosts/README.md",
        "nix/hosts/pve/apps.nix",
        "nix/hosts/pve/names.nix",
    }
    assert {name for name in listed if name.startswith("secrets/hosts/")} == {
        f"secrets/hosts/{name}.yaml" for name in ("apps", "names", "pve")
    }
    assert {name for name in listed if name.startswith("inventory/") and name.endswith(".toml")} == {"inventory/homelab.toml"}
    assert not any(name.startswith(("tests/", "bench/", ".github/")) for name in listed)
    # No key of the example's owner reads anything.
    owner = tomllib.loads((aether.path / "inventory/homelab.toml").read_text())["site"]
    for file in ("inventory/homelab.toml", ".sops.yaml", *(name for name in listed if name.startswith("secrets/"))):
        text = (first.path / file).read_text()
        assert not any(key in text for key in (*owner["age_recipients"], *owner["authorized_keys"])), file
    pin = tomllib.loads((first.path / "upstream.toml").read_text())
    assert pin == {"source": str(aether.path), "commit": fleets.git(aether.path, "rev-parse", "HEAD")}


def test_the_owner_opens_the_secrets(first: Checkout) -> None:
    for command in (("inventory", "check"), ("secrets", "check")):
        result = first.run("./aether", *command)
        assert result.code == 0, result.text


@pytest.mark.skipif(evaluate.trees() is None, reason="NIXTREES is not set: no fleet of `init` is evaluated")
def test_nix_evaluates_its_machines_and_their_images(first: Checkout) -> None:
    hosts = first.run(first.python, "-m", "nix.tools.evaluate", "apps", "names", timeout=900)
    assert hosts.code == 0, hosts.text
    assert "nixos-system-apps-" in hosts.text and "nixos-system-names-" in hosts.text
    for image in ("proxmox-vm", "proxmox-lxc"):
        attribute = f"packages.x86_64-linux.{image}.drvPath"
        found = first.run(first.python, "-m", "nix.tools.evaluate", "--attr", attribute, timeout=900)
        assert found.code == 0 and ".drv" in found.text, found.text


@pytest.mark.parametrize("command", ["test", "lint"])
def test_aethers_own_tests_are_not_run_in_a_fleet(first: Checkout, command: str) -> None:
    result = first.run("./aether", command)
    assert result.code == 1 and "The tests are Aether's own. Here: ./aether inventory check" in result.text


def test_both_changes_are_there_and_nothing_conflicts(aether: Checkout, fleet: Checkout) -> None:
    own = "nix/hosts/pve/apps.nix"
    edit(fleet, own, "pkgs.git", "pkgs.git pkgs.tmux", "Have tmux")
    # Also in a file of Aether's own, elsewhere than Aether changes it.
    edit(fleet, SHARED_FILE, "# Runbook\n", "# Runbook of the attic\n", "Call it ours")
    inventory = (fleet.path / "inventory/homelab.toml").read_text()
    last = (aether.path / SHARED_FILE).read_text().rstrip().splitlines()[-1]
    edit(aether, SHARED_FILE, last, f"{last}\n\nA line more.", "Say more in the runbook")
    edit(aether, "inventory/homelab.toml", "memory = 512", "memory = 768", "Change the example")
    (aether.path / "docs/news.md").write_text("# News\n")
    (aether.path / "docs/seeds.md").write_text("not for fleets\n")
    (aether.path / "docs/machines.md").unlink()
    edit(aether, "CHANGELOG.md", "### Added\n", "### Added\n- **Do**: dance once.\n", "Ask for something")
    code, text = upgrade(fleet)
    assert code == 0, text
    assert "dance once." in text and "Say more in the runbook" in text
    assert fleets.git(fleet.path, "status", "--porcelain") == ""
    assert "pkgs.tmux" in (fleet.path / own).read_text()
    runbook = (fleet.path / SHARED_FILE).read_text()
    assert runbook.startswith("# Runbook of the attic\n") and runbook.rstrip().endswith("A line more.")
    assert (fleet.path / "docs/news.md").exists()
    assert not (fleet.path / "docs/machines.md").exists()
    assert not (fleet.path / "docs/seeds.md").exists()
    assert (fleet.path / "inventory/homelab.toml").read_text() == inventory
    pin = tomllib.loads((fleet.path / "upstream.toml").read_text())
    assert pin["commit"] == fleets.git(aether.path, "rev-parse", "HEAD")
    assert "already" in upgrade(fleet)[1]


def test_the_same_lines_are_told_and_the_way_back_is_open(aether: Checkout, fleet: Checkout) -> None:
    edit(fleet, SHARED_FILE, "# Runbook\n", "# Mine\n", "Mine")
    before = fleets.git(fleet.path, "rev-parse", "HEAD")
    edit(aether, SHARED_FILE, "# Runbook\n", "# Theirs\n", "Theirs")
    code, text = upgrade(fleet)
    assert code == 1
    assert f"in the same lines: {SHARED_FILE}." in text
    assert "# Mine" in (fleet.path / SHARED_FILE).read_text() and "# Theirs" in (fleet.path / SHARED_FILE).read_text()
    code, text = upgrade(fleet)
    assert code == 1 and "half done" in text
    fleets.git(fleet.path, "cherry-pick", "--abort")
    assert fleets.git(fleet.path, "rev-parse", "HEAD") == before
    assert (fleet.path / SHARED_FILE).read_text().startswith("# Mine\n")


def test_what_the_owner_removed_stays_removed(aether: Checkout, fleet: Checkout) -> None:
    (fleet.path / SHARED_FILE).unlink()
    fleets.commit(fleet.path, "No runbook here")
    edit(aether, SHARED_FILE, "# Runbook\n", "# Theirs\n", "Theirs")
    (aether.path / "docs/news.md").write_text("# News\n")
    fleets.commit(aether.path, "News")
    code, text = upgrade(fleet)
    assert code == 0, text
    assert not (fleet.path / SHARED_FILE).exists() and (fleet.path / "docs/news.md").exists()
    assert fleets.git(fleet.path, "status", "--porcelain") == ""


def test_an_older_aether_is_taken_by_name(aether: Checkout, fleet: Checkout) -> None:
    pinned = fleets.git(aether.path, "rev-parse", "HEAD")
    (aether.path / "docs/news.md").write_text("# News\n")
    fleets.commit(aether.path, "News")
    assert upgrade(fleet)[0] == 0
    code, text = upgrade(fleet, "--to", pinned)
    assert code == 0, text
    assert not (fleet.path / "docs/news.md").exists()


def test_another_place_to_get_aether_from_is_kept(aether: Checkout, fleet: Checkout, tmp_path: Path) -> None:
    fleets.git(tmp_path, "clone", "--quiet", "--bare", str(aether.path), str(tmp_path / "moved"))
    code, text = upgrade(fleet, "--from", f"file://{tmp_path}/moved")
    assert code == 0, text
    assert tomllib.loads((fleet.path / "upstream.toml").read_text())["source"] == f"file://{tmp_path}/moved"
    assert fleets.git(fleet.path, "status", "--porcelain") == ""
    assert "already" in upgrade(fleet)[1]


def test_what_is_not_committed_is_not_touched(aether: Checkout, fleet: Checkout) -> None:
    fleet.replace(SHARED_FILE, "# Runbook\n", "# Mine\n")
    code, text = upgrade(fleet)
    assert code == 1 and f"not committed: {SHARED_FILE}. Fix: git commit, or git stash" in text
    assert upgrade(aether)[0] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--to", "no-such-branch"), "Aether has no commit 'no-such-branch'"),
        (("--from", "/no/such/place"), "/no/such/place cannot be read"),
    ],
)
def test_wrong_words_change_nothing(fleet: Checkout, arguments: tuple[str, ...], said: str) -> None:
    before = fleets.git(fleet.path, "rev-parse", "HEAD")
    code, text = upgrade(fleet, *arguments)
    assert code == 1 and said in text and "Traceback" not in text
    assert fleets.git(fleet.path, "rev-parse", "HEAD") == before
    assert fleets.git(fleet.path, "status", "--porcelain") == ""


def test_init_refuses_a_folder_that_is_not_empty_and_a_fleet(aether: Checkout, first: Checkout, tmp_path: Path) -> None:
    again = fleets.init(aether, first.path, ANSWERS)
    assert again.code == 1 and "it is a fleet's repository already" in again.text
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("mine")
    full = fleets.init(aether, tmp_path / "full", ANSWERS)
    assert full.code == 1 and "is not empty. Nothing was changed" in full.text
    from_fleet = first.run("./aether", "init", str(tmp_path / "new"))
    assert from_fleet.code == 1 and "run it in a clone of Aether" in from_fleet.text
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["file"]
