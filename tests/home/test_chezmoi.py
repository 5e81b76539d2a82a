"""The dotfiles of several machines, by the real chezmoi."""

import os
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.home.conftest import BIN, REPO, Home, program

MACHINES = ["workstation", "bifrost", "laptop", "wsl", "cloud-workstation"]


def configure(home: Home, machine: str) -> str:
    """Derive chezmoi's configuration; returns what was printed."""
    program("chezmoi")
    return home.run(BIN / "chezmoi-home", home.source / "home" / "chezmoi", f"machine={machine}").stdout


def apply(home: Home, check: bool = True) -> subprocess.CompletedProcess[str]:
    """What `chezmoi apply` changed, as a difference."""
    return home.run("chezmoi", "apply", "--verbose", "--no-tty", "--no-pager", "--color=false", check=check)


@pytest.mark.parametrize("machine", MACHINES)
def test_second_apply_changes_nothing(home: Home, machine: str) -> None:
    assert "configured" in configure(home, machine)
    assert apply(home).stdout
    assert configure(home, machine) == ""
    assert apply(home).stdout == ""


def test_graphical_settings_only_where_somebody_sits(home: Home) -> None:
    configure(home, "bifrost")
    apply(home)
    kitty = home.path / ".config/kitty/kitty.conf"
    assert "font_size        13.0" in kitty.read_text()
    assert kitty.read_text().startswith("# bifrost: Surface Pro 8")


@pytest.mark.parametrize("machine", ["wsl", "cloud-workstation"])
def test_no_graphical_settings_without_a_screen(home: Home, machine: str) -> None:
    configure(home, machine)
    assert "kwriteconfig" not in apply(home).stdout
    assert not (home.path / ".config/kitty").exists()
    assert (home.path / ".config/git/local").read_text().count("mitso@example.org") == 1


def test_ssh_knows_every_machine_of_the_inventory(home: Home) -> None:
    configure(home, "workstation")
    apply(home)
    config = home.path / ".ssh/config"
    assert config.stat().st_mode & 0o777 == 0o600
    assert config.parent.stat().st_mode & 0o777 == 0o700
    settings = home.run("ssh", "-F", config, "-G", "public-gateway").stdout.splitlines()
    assert "hostname 192.168.90.10" in settings
    assert "user ec2-user" in settings
    assert "Host workstation\n" not in config.read_text(), "a machine needs no entry for itself"
    known = (home.path / ".ssh/known_hosts.aether").read_text().splitlines()
    hosts: dict[str, Any] = {}
    for file in ("homelab.toml", "cloud.toml"):
        facts = tomllib.loads((REPO / "inventory" / file).read_text())
        domain = facts["site"]["domain"]
        entries = {**facts["hosts"], **facts.get("nodes", {})}
        hosts |= {name: (f"{name}.{domain}", entry) for name, entry in entries.items() if "host_key" in entry}
    assert sorted(known) == sorted(
        f"{name},{fqdn},{entry['address']} {entry['host_key']}" for name, (fqdn, entry) in hosts.items()
    )


def test_script_runs_again_when_it_changes(home: Home) -> None:
    configure(home, "workstation")
    apply(home)
    calls = home.path / "calls"
    tool = home.path / ".local/bin/kwriteconfig6"
    tool.write_text(f'#!/bin/sh\necho "$*" >> {calls}\n')
    tool.chmod(0o755)
    script = home.source / "home/chezmoi/run_onchange_after_10-plasma.sh.tmpl"
    script.write_text(script.read_text() + '"$write" --file kdeglobals --group Test --key New 1\n')
    environment_path = f"{home.path}/.local/bin:{os.environ['PATH']}"
    home.run("env", f"PATH={environment_path}", program("chezmoi"), "apply", "--no-tty")
    assert "--group Test --key New 1" in calls.read_text()
    lines = calls.read_text().count("\n")
    home.run("env", f"PATH={environment_path}", program("chezmoi"), "apply", "--no-tty")
    assert calls.read_text().count("\n") == lines


def test_a_file_changed_by_hand_is_not_overwritten(home: Home) -> None:
    configure(home, "workstation")
    apply(home)
    mine = home.path / ".config/git/local"
    mine.write_text("# mine\n")
    source = home.source / "home/chezmoi/dot_config/git/local.tmpl"
    source.write_text(source.read_text() + "# new\n")
    assert apply(home, check=False).returncode != 0
    assert mine.read_text() == "# mine\n"


def test_secret_decrypts_with_the_key_and_stays_away_without(home: Home) -> None:
    program("age")
    source = home.source / "home/chezmoi/dot_config/private_aether/encrypted_private_tokens.env.age"
    token = home.path / ".config/aether/tokens.env"
    configure(home, "workstation")
    apply(home)
    assert not token.exists(), "without a key the encrypted file is left alone"

    key = home.path / ".config/chezmoi/key.txt"
    home.run(program("age-keygen"), "-o", key)
    recipient = home.run("age-keygen", "-y", key).stdout.strip()
    plain = home.path / "plain"
    plain.write_text("GITHUB_TOKEN=s3cret\n")
    home.run("age", "--armor", "--recipient", recipient, "--output", source, plain)
    assert "s3cret" not in source.read_text()
    # The answer given before (none) is kept, so it is taken back first.
    (home.path / ".config/chezmoi/chezmoi.toml").unlink()
    configure(home, "workstation")
    apply(home)
    assert token.read_text() == "GITHUB_TOKEN=s3cret\n"
    assert token.stat().st_mode & 0o777 == 0o600
    assert apply(home).stdout == ""


def test_a_wrong_key_says_so(home: Home) -> None:
    key = home.path / ".config/chezmoi/key.txt"
    key.parent.mkdir(parents=True)
    home.run(program("age-keygen"), "-o", key)
    configure(home, "workstation")
    failed = apply(home, check=False)
    assert failed.returncode != 0
    assert "tokens.env" in failed.stderr
    assert "no identity matched" in failed.stderr


def test_a_keepassxc_database_gives_its_secrets_to_whom_knows_the_password(home: Home) -> None:
    pykeepass = pytest.importorskip("pykeepass")
    database = home.path / "SharedHome/Documents/Documents/owner.kdbx"
    database.parent.mkdir(parents=True)
    made = pykeepass.create_database(str(database), password="of the owner")
    group = made.add_group(made.root_group, "aether")
    made.add_entry(group, "github", "mitso", "").set_custom_property("token", "s3cret", protect=True)
    made.add_entry(group, "restic", "", "another")
    made.save()
    program("chezmoi")
    answers = [f"{question}={answer}" for question, answer in (("machine", "workstation"), ("secrets", "keepassxc"))]
    home.run(BIN / "chezmoi-home", home.source / "home/chezmoi", *answers)
    wrong = home.run("chezmoi", "apply", "--no-tty", check=False, typed="a guess\n")
    secrets = home.path / ".config/aether/keepassxc.env"
    assert wrong.returncode != 0 and not secrets.exists()
    home.run("chezmoi", "apply", "--no-tty", typed="of the owner\n")
    assert secrets.read_text().splitlines()[1:] == ['GITHUB_TOKEN="s3cret"', 'RESTIC_PASSWORD="another"']
    assert secrets.stat().st_mode & 0o777 == 0o600


def test_recipients_are_those_of_the_inventory(home: Home) -> None:
    key = home.path / ".config/chezmoi/key.txt"
    key.parent.mkdir(parents=True)
    home.run(program("age-keygen"), "-o", key)
    configure(home, "workstation")
    site = tomllib.loads((REPO / "inventory/homelab.toml").read_text())["site"]
    configuration = tomllib.loads((home.path / ".config/chezmoi/chezmoi.toml").read_text())
    assert configuration["age"]["recipients"] == site["age_recipients"]
    assert Path(configuration["age"]["identity"]) == key


def test_source_stays_free_of_repositories(home: Home) -> None:
    """chezmoi makes its working tree a git repository; inside the flake it would be part of what Home Manager builds."""
    configure(home, "workstation")
    apply(home)
    assert not list(home.source.rglob(".git"))
