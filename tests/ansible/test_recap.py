"""The recap as data: what Ansible prints at a run's end, by the callback that deployments read it from."""

import json
from pathlib import Path

from tests.ansible.conftest import REPO, Result, ansible

PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - {name: Changes, ansible.builtin.command: "true"}
    - {name: Is skipped, ansible.builtin.command: "true", when: false}
    - {name: Is ignored, ansible.builtin.command: "false", ignore_errors: true}
    - {name: Fails, ansible.builtin.command: "false", when: inventory_hostname == "two"}
"""
COUNTS = ("ok", "changed", "unreachable", "failed", "skipped", "rescued", "ignored")


def play(folder: Path, hosts: str, play: str = PLAY) -> tuple[Result, dict[str, dict[str, int]]]:
    """A run on HOSTS, all of them this machine, and the recap that it wrote."""
    (folder / "play.yml").write_text(play)
    file = folder / "recap.json"
    environment = {
        "ANSIBLE_CALLBACK_PLUGINS": str(REPO / "ansible/callback_plugins"),
        "ANSIBLE_CALLBACKS_ENABLED": "aether_recap",
        "AETHER_RECAP": str(file),
    }
    here = ["-i", hosts, "-c", "local", "-e", "ansible_python_interpreter=/usr/bin/python3"]
    done = ansible("ansible-playbook", *here, folder / "play.yml", env=environment)
    return done, json.loads(file.read_text())


def test_the_recap_has_the_counts_that_are_printed(tmp_path: Path) -> None:
    done, recap = play(tmp_path, "one,two,")
    assert done.code == 2, done.output[-3000:]
    assert set(recap) == {"one", "two"}
    for host, said in recap.items():
        assert tuple(said) == COUNTS, "in the order of the printed one"
        assert said == {what: done.count(host, what) for what in COUNTS}, done.output[-3000:]
    assert recap["one"] == {"ok": 2, "changed": 2, "unreachable": 0, "failed": 0, "skipped": 2, "rescued": 0, "ignored": 1}
    assert recap["two"]["failed"] == 1


def test_a_run_in_which_nothing_matches_has_an_empty_one(tmp_path: Path) -> None:
    done, recap = play(tmp_path, "one,", PLAY.replace("hosts: all", "hosts: nobody"))
    assert done.code == 0, done.output[-3000:]
    assert recap == {}
