"""How root becomes the owner of a home."""

import pytest

from tests.ansible.conftest import REPO, ansible


@pytest.mark.parametrize("user", ["nobody", "root"])
def test_root_becomes_a_user_without_a_file_of_each_module(user: str) -> None:
    """Over standard input: a folder, a copy and rights for each task are most of a run's connections."""
    where = str(REPO / "ansible/roles/bootstrap_base/become_plugins")
    # Without Mitogen, which has a way of its own.
    plugins = {"ANSIBLE_BECOME_PLUGINS": where, "ANSIBLE_PIPELINING": "1", "ANSIBLE_STRATEGY": "linear"}
    become = ["--become", "--become-method", "aether_su", "--become-user", user]
    # The environment's Python may lie where only root reads.
    here = ["-i", "localhost,", "-c", "local", "-e", "ansible_python_interpreter=/usr/bin/python3", "all"]
    done = ansible("ansible", "-vvv", *here, *become, "-a", "id -un", env=plugins)
    assert done.code == 0, done.output[-3000:]
    assert done.output.splitlines()[-1] == user
    assert "Pipelining is enabled" in done.output and "AnsiballZ_" not in done.output, done.output[-3000:]


def test_bootstrap_asks_for_it() -> None:
    assert "'aether_su' if ansible_user" in (REPO / "ansible/bootstrap.yml").read_text()
