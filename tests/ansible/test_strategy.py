"""The strategy of ansible.cfg: Mitogen's where it is installed, Ansible's own where it is not, with one result."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ansible.conftest import Result, ansible

PLAY = """
- hosts: all
  gather_facts: true
  tasks:
    - name: A file of the owner's
      ansible.builtin.copy: {content: "of {{ ansible_facts.system }}\\n", dest: "{{ folder }}/file", mode: "0640"}
    - name: A line in it
      ansible.builtin.lineinfile: {path: "{{ folder }}/file", line: more, create: true}
      notify: Told
    - name: As another user
      ansible.builtin.command: id -un
      become: true
      become_method: aether_su
      become_user: nobody
      changed_when: false
      register: other
    - name: Who runs modules
      ansible.builtin.command: sh -c 'tr "\\0" " " </proc/$PPID/cmdline'
      changed_when: false
      register: parent
    - name: Said
      ansible.builtin.debug: {msg: "{{ other.stdout }} {{ parent.stdout }}"}
    - name: Refused
      ansible.builtin.command: "false"
      ignore_errors: true
  handlers:
    - name: Told
      ansible.builtin.file: {path: "{{ folder }}/told", state: touch, mode: "0600"}
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everybody reads: a module works where its playbook lies, when it runs on this machine."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def play(folder: Path, *options: str, without: bool = False) -> Result:
    """PLAY on this machine, in FOLDER; WITHOUT Mitogen."""
    hidden = folder.parent / "hidden/ansible_mitogen"
    hidden.mkdir(parents=True, exist_ok=True)
    (hidden / "__init__.py").write_text("raise ImportError('hidden')\n")
    folder.mkdir(exist_ok=True)
    (folder.parent / "play.yml").write_text(PLAY)
    environment = {"ANSIBLE_BECOME_PLUGINS": "ansible/roles/bootstrap_base/become_plugins"}
    # The environment's Python may lie where only root reads.
    python = folder.parent / "a folder/python3"
    python.parent.mkdir(exist_ok=True)
    python.unlink(missing_ok=True)
    python.symlink_to("/usr/bin/python3")
    variables = json.dumps({"ansible_python_interpreter": str(python), "folder": str(folder)})
    here = ["-i", "localhost,", "-c", "local", "-e", variables]
    if without:
        environment["PYTHONPATH"] = str(hidden.parent)
    return ansible("ansible-playbook", *here, *options, folder.parent / "play.yml", env=environment)


def test_modules_run_in_one_python_that_stays(place: Path) -> None:
    done = play(place / "made")
    assert done.code == 0, done.output[-3000:]
    said = next(line for line in done.output.splitlines() if "msg: " in line)
    assert "nobody" in said and "mitogen:" in said, done.output[-3000:]


def test_without_mitogen_it_is_ansibles_own(place: Path) -> None:
    done = play(place / "made", without=True)
    assert done.code == 0, done.output[-3000:]
    said = next(line for line in done.output.splitlines() if "msg: " in line)
    assert "nobody" in said and "mitogen:" not in said, done.output[-3000:]


@pytest.mark.parametrize("options", [[], ["--check", "--diff"]])
def test_both_do_the_same(place: Path, options: list[str]) -> None:
    """Word for word but for who ran the modules and how long a command took."""

    def told(done: Result, folder: Path) -> list[str]:
        passing = ("msg: 'nobody ", "delta: ", "end: ", "start: ")
        lines = [line.replace(str(folder), "FOLDER") for line in done.output.splitlines()]
        return [line for line in lines if not line.strip().startswith(passing) and "ansible-local" not in line]

    first, second = place / "first", place / "second"
    ours, theirs = play(first, *options), play(second, *options, without=True)
    assert ours.code == theirs.code == 0, ours.output[-3000:]
    assert told(ours, first) == told(theirs, second)
    for again in (ours, theirs):
        assert again.count("localhost", "ignored") == (0 if options else 1)
    if not options:
        assert (first / "file").read_text() == (second / "file").read_text() == "of Linux\nmore\n"
        assert (first / "told").stat().st_mode & 0o777 == 0o600
