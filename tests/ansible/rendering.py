"""A role's tasks and templates on this machine, with a host's variables."""

import os
from pathlib import Path

import yaml

from tests.ansible.conftest import REPO, Result, ansible

KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="


def render(folder: Path, host: str, role: str, template: str, env: dict[str, str] | None = None) -> str:
    """One template of a role with its defaults and a host's variables."""
    source = str(REPO / "ansible/roles" / role / "templates" / template)
    task: dict[str, object] = {"ansible.builtin.template": {"src": source, "dest": "{{ out }}"}}
    return run(folder, host, [task], role, env)[1]


def run(
    folder: Path, host: str, tasks: list[dict[str, object]], role: str = "", env: dict[str, str] | None = None
) -> tuple[Result, str]:
    """Tasks for a host, on this machine; returns the run and what was written to `out`."""
    play = {
        "hosts": host,
        "gather_facts": False,
        "connection": "local",
        "vars": {
            "ansible_connection": "local",
            "ansible_become": False,
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "out": str(folder / "out"),
        },
        "vars_files": [str(REPO / "ansible/roles" / role / "defaults/main.yml")] if role else [],
        "tasks": tasks,
    }
    # Beside the real playbooks, so that playbook_dir is what roles expect.
    book = REPO / "ansible" / f".test-{os.getpid()}-{folder.name}.yml"
    book.write_text(yaml.safe_dump([play]))
    try:
        done = ansible("ansible-playbook", "-i", "ansible/inventory.py", book, env=env)
    finally:
        book.unlink()
    out = folder / "out"
    return done, out.read_text() if out.exists() else done.output
