"""The strategy of ansible.cfg: Mitogen's where it is installed, Ansible's own where it is not, with one result."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from ops import setup
from tests.ansible.conftest import REPO, Result, ansible

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


def play(folder: Path, *options: str, without: bool = False, env: Mapping[str, str] | None = None) -> Result:
    """PLAY on this machine, in FOLDER; WITHOUT Mitogen."""
    hidden = folder.parent / "hidden/ansible_mitogen"
    hidden.mkdir(parents=True, exist_ok=True)
    (hidden / "__init__.py").write_text("raise ImportError('hidden')\n")
    folder.mkdir(exist_ok=True)
    (folder.parent / "play.yml").write_text(PLAY)
    environment = {"ANSIBLE_BECOME_PLUGINS": "ansible/roles/bootstrap_base/become_plugins", **(env or {})}
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


def elsewhere(place: Path) -> dict[str, str]:
    """The environment by which Ansible takes a copy of the strategy, which keeps things below PLACE."""
    strategy = place / "ansible/strategy_plugins/aether_linear.py"
    for name in ("ansible/strategy_plugins/aether_linear.py", "inventory/__init__.py", "inventory/files.py"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes((REPO / name).read_bytes())
    return {"ANSIBLE_STRATEGY_PLUGINS": str(strategy.parent)}


def test_what_goes_to_hosts_is_worked_out_once_and_again_where_what_was_kept_is_broken(place: Path) -> None:
    own = elsewhere(place)
    kept = place / ".aether/cache/mitogen"
    assert play(place / "made", env=own).code == 0
    made = {path: (path.stat().st_ino, path.read_bytes()) for path in kept.iterdir()}
    # Ansible's and Mitogen's own sources, small and by what they import.
    assert len(made) > 100 and all(json.loads(text) is not None for _, text in made.values())
    assert play(place / "made", env=own).code == 0
    assert {path: (path.stat().st_ino, path.read_bytes()) for path in kept.iterdir()} == made
    for path in made:
        path.write_text("[")
    assert play(place / "made", env=own).code == 0
    assert {path: path.read_bytes() for path in kept.iterdir()} == {path: text for path, (_, text) in made.items()}


def test_without_a_place_to_keep_it_a_playbook_runs_all_the_same(place: Path) -> None:
    (place / ".aether").write_text("a file, where a folder should be\n")
    assert play(place / "made", env=elsewhere(place)).code == 0


def test_the_set_up_compiles_what_a_playbook_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(setup, "AETHER", tmp_path)
    monkeypatch.setattr(setup, "LOGS", tmp_path / "logs")
    setup.compiled()
    assert "Ansible: done in" in capsys.readouterr().out, (tmp_path / "logs/Ansible.log").read_text()
    made = {path.name.partition(".")[0] for path in (tmp_path / "cache/python").rglob("*.pyc")}
    assert {"task_executor", "ansible_collector"} <= made
