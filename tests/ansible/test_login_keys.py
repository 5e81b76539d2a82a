"""Who role login_keys lets in: the site's keys and, bound to the program that tells of it, the emergency key; and nobody else."""

from pathlib import Path
from typing import Any

import yaml

from bench.fleet import public_key
from inventory.load import load
from tests.ansible.conftest import REPO
from tests.ansible.rendering import run

TASKS: list[dict[str, Any]] = yaml.safe_load((REPO / "ansible/roles/login_keys/tasks/main.yml").read_text())
KEYS = load(REPO / "inventory/homelab.toml").site.authorized_keys


def written(folder: Path, before: str, emergency: Path) -> tuple[str, str]:
    """What the role makes of an authorized_keys file, and Ansible's words of the second time."""
    (folder / "out").write_text(before)
    task = {**TASKS[-1], "ansible.posix.authorized_key": {**TASKS[-1]["ansible.posix.authorized_key"], "path": "{{ out }}"}}
    task["ansible.posix.authorized_key"] |= {"user": "root", "manage_dir": False}
    tasks = [{**task, "vars": {"login_keys_emergency_file": str(emergency)}}]
    first, text = run(folder, "smith-files", tasks, "login_keys")
    assert first.code == 0, first.output
    again, _ = run(folder, "smith-files", tasks, "login_keys")
    return text, again.output


def test_the_emergency_key_is_bound_to_the_program_that_tells(tmp_path: Path) -> None:
    (tmp_path / "break-glass.pub").write_text(f"{public_key('emergency')} break-glass-2026-01-02\n")
    text, again = written(tmp_path, f"{public_key('gone')} gone\n", tmp_path / "break-glass.pub")
    options = 'restrict,pty,command="/usr/local/bin/aether-break-glass"'
    lines = text.splitlines()
    assert lines[: len(KEYS)] == list(KEYS)
    (emergency,) = lines[len(KEYS) :]
    # The module sorts the options that it read.
    assert set(emergency.split(" ", 1)[0].split(",")) == set(options.split(",")) and public_key("emergency") in emergency
    assert "changed=0" in again


def test_without_one_there_are_the_sites_keys_alone(tmp_path: Path) -> None:
    text, again = written(tmp_path, "", tmp_path / "none.pub")
    assert text.splitlines() == list(KEYS) and "changed=0" in again
    assert TASKS[0]["when"] == "login_keys_emergency | length > 0"
