"""One secret rotated by its name: nobody is locked out in between, and what is in between is said."""

import io
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from inventory import rotation
from inventory.generate import MAKERS, public_half, read_names
from inventory.rules.files import plain_files
from tests.unit.secrets_repository import ROOT, needs_sops, repository, run, values_of

__all__ = ["repository"]

NAMES = """
[make]
"*/fleet-ssh-key" = "ssh-key"
[same]
groups = [["web/oidc-a", "dns/oidc-b"]]
[rotate]
names = ["*/oidc-*"]
both = ["*/fleet-ssh-key"]
[rotate.one]
"*/oidc-*" = "Keycloak knows one secret of a client"
[public]
"web/fleet-ssh-key" = "nix/pki/fleet.pub"
[opens]
"*/fleet-ssh-key" = "the fleet"
"""
KEY = "web/fleet-ssh-key"


@pytest.fixture
def made(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with a key whose public half is in the repository, and two hosts with a secret that they share."""
    (repository / "secrets/names.toml").write_text(NAMES)
    (repository / "nix/pki").mkdir(parents=True)
    assert run("init") == 0
    key = MAKERS["ssh-key"]()
    (repository / "nix/pki/fleet.pub").write_text(public_half("ssh-key", key) + "\n")
    for host, name, value in (("web", "fleet-ssh-key", key), ("web", "oidc-a", "same"), ("dns", "oidc-b", "same")):
        monkeypatch.setattr("sys.stdin", io.StringIO(value))
        assert run("set", host, name) == 0
    return repository


def accepted(repository: Path) -> list[str]:
    return (repository / "nix/pki/fleet.pub").read_text().splitlines()


def used(repository: Path) -> str:
    """Public half of the key that is used."""
    return public_half("ssh-key", values_of(repository, "web")["fleet-ssh-key"])


def deployed(repository: Path, *, ago: float = 0, **more: object) -> None:
    """An `up` that began AGO seconds ago, as ops/runs.py notes it."""
    folder = repository / ".aether/runs"
    folder.mkdir(parents=True, exist_ok=True)
    run = {"command": "up", "at": int(time.time() - ago) + 2, "seconds": 1.0, "result": "succeeded", "why": "", **more}
    with (folder / "homelab.jsonl").open("a") as file:
        file.write(json.dumps(run) + "\n")


@needs_sops
def test_the_new_one_is_accepted_then_used_and_then_alone(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (old,) = accepted(made)
    assert run("rotate", KEY) == 0
    assert "has the new one, too" in capsys.readouterr().out
    assert used(made) == old and len(accepted(made)) == 2 and accepted(made)[0] == old
    new = accepted(made)[1]
    assert run("list") == 0
    listed = capsys.readouterr().out
    line = next(line for line in listed.splitlines() if line.startswith(f"{KEY} "))
    assert line.endswith(f"the new one is accepted beside the old one, which is used (since {datetime.now(UTC):%Y-%m-%d})")
    assert run("check") == 0
    # What stops a preview.
    assert plain_files(made / "secrets") == []

    deployed(made)
    assert run("rotate", KEY, "--finish") == 0
    assert used(made) == new and accepted(made) == [new, old]
    assert "fleet-ssh-key-next" not in values_of(made, "web")
    assert run("check") == 0
    capsys.readouterr()
    assert run("list") == 0 and "the new one is used, the old one still accepted" in capsys.readouterr().out

    deployed(made)
    assert run("rotate", KEY, "--finish") == 0
    assert used(made) == new and accepted(made) == [new]
    assert not (made / "secrets/rotating.toml").exists()
    assert run("rotate", KEY, "--finish") == 1
    assert "is not being rotated" in capsys.readouterr().err


@needs_sops
def test_no_step_is_taken_before_health_was_seen(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("rotate", KEY) == 0
    before = accepted(made), used(made)
    for case in ({"result": "failed"}, {"ago": 3600}, {"command": "destroy"}, None):
        if case is not None:
            deployed(made, **case)
        assert run("rotate", KEY, "--finish") == 1
        assert "no up from this checkout was healthy since" in capsys.readouterr().err
    # One that was under way when the step was taken may have deployed what was before it.
    deployed(made, seconds=600.0)
    assert run("rotate", KEY, "--finish") == 1
    assert (accepted(made), used(made)) == before
    assert run("rotate", KEY) == 1
    assert "is being rotated" in capsys.readouterr().err
    assert run("rotate", KEY, "--finish", "--deployed-elsewhere") == 0
    assert used(made) == before[0][1]


@needs_sops
def test_a_step_that_broke_off_is_taken_again(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("rotate", KEY) == 0
    old, new = accepted(made)
    note = rotation.Rotating.note

    def stop(*_: object) -> None:
        raise ValueError("stopped")

    monkeypatch.setattr(rotation.Rotating, "note", stop)
    assert run("rotate", KEY, "--finish", "--deployed-elsewhere") == 1
    monkeypatch.setattr(rotation.Rotating, "note", note)
    assert run("rotate", KEY, "--finish", "--deployed-elsewhere") == 0
    assert used(made) == new and accepted(made) == [new, old]


@needs_sops
def test_what_can_have_one_value_alone_is_rotated_on_both_sides_at_once(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("rotate", "dns/oidc-b") == 0
    told = capsys.readouterr().out
    value = values_of(made, "web")["oidc-a"]
    assert value == values_of(made, "dns")["oidc-b"] != "same"
    assert "It cannot have two values: Keycloak knows one secret of a client" in told and "Deploy dns, web in one make up" in told
    assert value not in told
    assert run("rotate", "dns/oidc-b", "--finish") == 1


@needs_sops
def test_what_nobody_here_can_make_is_refused_with_what_can(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("rotate", "web/oidc-x") == 1
    assert "there is no secret 'web/oidc-x'" in capsys.readouterr().err
    assert run("rotate", "web/ssh_host_ed25519_key") == 1
    assert "./aether secrets rotate web makes a new one" in capsys.readouterr().err
    assert run("rotate", "web", "--finish") == 1


def test_every_reader_of_a_public_half_takes_two() -> None:
    """Whoever reads nix/pki/FILE of a secret that has two in between reads it by lines, or hands the file on as it is."""
    names = read_names(ROOT / "secrets")
    files = {Path(file).name for pattern, file in names.public.items() if names.takes_two(pattern)}
    assert files == {"nix-signing.pub", "cockpit-fleet.pub", "restic.pub", "ssh_user_ca.pub"}
    by_lines = {
        "base.nix": "splitString",
        "deploy-user.nix": "replaceStrings",
        "console.nix": "splitString",
        "ssh.nix": "files.alone",
        "orders.nix": "splitString",
    }
    for path in (ROOT / "nix").rglob("*.nix"):
        if any(f"pki/{name}" in path.read_text() for name in files):
            assert by_lines[path.name] in path.read_text(), path
    assert "splitlines" in (ROOT / "ansible/roles/restic_server/templates/restic_keys.j2").read_text()
