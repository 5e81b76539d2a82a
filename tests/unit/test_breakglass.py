"""The emergency key: readable by the offline key alone, and nothing that is online may be that key."""

import re
import subprocess
from pathlib import Path

import pytest

from inventory import agekey
from inventory.rules.files import plain_files
from inventory.secret_store import tool
from tests.unit.secrets_repository import needs_sops, repository, run

__all__ = ["repository"]


def offline(folder: Path, name: str = "offline") -> tuple[Path, str]:
    """A new age key's file, and its recipient."""
    path = folder / name
    subprocess.run([tool("age-keygen"), "-o", str(path)], check=True, capture_output=True)
    found = re.search(r"public key: (age1\w+)", path.read_text())
    assert found
    return path, found[1]


def decrypted(repository: Path, identity: Path) -> "subprocess.CompletedProcess[str]":
    line = [tool("age"), "--decrypt", "-i", str(identity), str(repository / "secrets/break-glass.age")]
    return subprocess.run(line, capture_output=True, text=True, check=False)


@needs_sops
def test_the_offline_key_reads_it_and_no_other(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key, recipient = offline(repository)
    assert run("init") == 0
    capsys.readouterr()
    assert run("break-glass", "--recipient", recipient) == 0
    told = capsys.readouterr().out
    opened = decrypted(repository, key)
    assert opened.returncode == 0, opened.stderr
    public = (repository / "nix/pki/break-glass.pub").read_text()
    assert agekey.public_key(opened.stdout) == " ".join(public.split()[:2])
    assert decrypted(repository, offline(repository, "another")[0]).returncode != 0
    assert decrypted(repository, repository / "owner").returncode != 0, "the owner's own key"
    assert "PRIVATE KEY" not in told and "age --decrypt -i KEY-FILE" in told and "two places" in told
    # Neither a preview's rules nor the other commands stumble over it.
    assert plain_files(repository / "secrets") == []
    assert (run("check"), run("rekey")) == (0, 0)
    capsys.readouterr()
    assert run("sheet") == 0
    assert "age --decrypt -i KEY-FILE secrets/break-glass.age" in capsys.readouterr().out
    assert run("list") == 0
    assert "break-glass.age  0 d  read by the holder of the offline key alone" in capsys.readouterr().out


@needs_sops
def test_another_one_takes_its_place(repository: Path) -> None:
    key, recipient = offline(repository)
    assert run("break-glass", "--recipient", recipient) == 0
    first = (repository / "nix/pki/break-glass.pub").read_text()
    assert run("break-glass", "--recipient", recipient) == 0
    second = (repository / "nix/pki/break-glass.pub").read_text()
    assert first != second and len(second.splitlines()) == 1
    assert agekey.public_key(decrypted(repository, key).stdout) == " ".join(second.split()[:2])


@needs_sops
def test_a_key_that_is_online_is_refused_before_anything_is_written(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("init") == 0
    inventory = (repository / "inventory/lab.toml").read_text()
    owner, host = (
        re.findall(pattern, inventory)[0] for pattern in (r'age_recipients = \["(age1\w+)', r'age_recipient = "(age1\w+)')
    )
    for wrong, said in (
        (owner, "an owner's"),
        (host, "that of web"),
        (owner[:-1] + ("q" if owner[-1] != "q" else "p"), "mistyped"),
        ("age1", "no age recipient"),
        ("mine", "no age recipient"),
    ):
        capsys.readouterr()
        assert run("break-glass", "--recipient", wrong) == 1
        assert said in capsys.readouterr().err
    assert not (repository / "secrets/break-glass.age").exists() and not (repository / "nix/pki/break-glass.pub").exists()
