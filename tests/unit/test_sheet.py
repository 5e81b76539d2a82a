"""The emergency sheet: what it has for the day when all is lost, and that no secret is on it."""

import subprocess
from pathlib import Path

import pytest

from inventory import agekey
from inventory.keys import new_ssh_key
from inventory.secret_store import SecretStore
from tests.unit.secrets_repository import needs_sops, repository, run

__all__ = ["repository"]
BACKUP = """
[backups.nightly]
storage = "pbs"
schedule = "02:30"
keep = { daily = 7 }
"""


@pytest.fixture
def sheet(repository: Path) -> Path:
    """A repository with a remote, a job, a backup server and a host that has data there."""
    path = repository / "inventory/lab.toml"
    path.write_text(path.read_text() + BACKUP)
    (repository / "Pulumi.yaml").write_text("name: lab\nbackend:\n  url: s3://me:hunter2@state?region=here\n")
    (repository / "Pulumi.lab.yaml").write_text("secretsprovider: hashivault://aether\n")
    (repository / "Pulumi.sim.yaml").write_text("config: {}\n")
    subprocess.run(["git", "init", "-q"], cwd=repository, check=True)
    remote = "https://ada:hunter2@git.example.org/homelab.git"
    subprocess.run(["git", "remote", "add", "origin", remote], cwd=repository, check=True)
    assert run("init") == 0
    SecretStore(repository / "secrets", repository / "owner").set("hosts/web.yaml", ["restic-password"], "hunter2")
    return repository


@needs_sops
def test_it_has_what_is_needed_and_no_secret(sheet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run("sheet") == 0
    page = capsys.readouterr().out
    assert "git clone https://git.example.org/homelab.git" in page
    assert (
        "backend: s3://state?region=here" in page
        and "stack lab: secrets by hashivault://aether" in page
        and "stack sim" not in page
    )
    assert "Proxmox, job nightly: " in page and "on storage pbs, 02:30" in page
    _, owner = agekey.public_key((sheet / "owner").read_text()).split()
    assert agekey.recipient(f"ssh-ed25519 {owner}") in page and "opens every file of secrets/" in page
    assert "restore --all --to place" in page and "--with-keys" in page
    assert "hunter2" not in page and "PRIVATE KEY" not in page
    lines = page.splitlines()
    assert len(lines) <= 66 and max(map(len, lines)) <= 100, "a page of paper"


@needs_sops
def test_the_owners_key_is_on_it_by_a_word_and_nobody_elses_is(sheet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run("sheet", "--with-keys") == 0
    page = capsys.readouterr().out
    printed = "\n".join(line.strip() for line in page.splitlines())
    assert (sheet / "owner").read_text().strip() in printed, "as it is: it is typed in again"
    assert "hunter2" not in page and page.count("BEGIN OPENSSH PRIVATE KEY") == 1
    private, _ = new_ssh_key("somebody")
    (sheet / "owner").write_text(private)
    assert run("sheet", "--with-keys") == 1
    told = capsys.readouterr()
    assert "who is no owner" in told.err and "BEGIN OPENSSH" not in told.out + told.err


@needs_sops
def test_what_is_missing_for_the_day_is_said(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("init") == 0
    capsys.readouterr()
    assert run("sheet") == 0
    page = capsys.readouterr().out
    assert "It has no remote" in page and "There are none: no job of Proxmox'" in page
    assert "pulumi whoami -v" in page
