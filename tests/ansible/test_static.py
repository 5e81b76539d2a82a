"""Syntax, style, and what every role must have."""

import pytest
import yaml

from tests.ansible.conftest import PLAYBOOKS, REPO, SCRIPTS, ansible

ROLES = sorted(path.name for path in (REPO / "ansible/roles").iterdir())
SECRET_WORDS = ("private_key", "password", "auth_key", "token", "rclone", "syncthing_key")


def test_every_playbook_of_the_inventory_exists() -> None:
    assert {"bootstrap.yml", "proxmox.yml", "vyos.yml", "smith.yml", "gpu-workstation.yml", "public-gateway.yml"} <= set(
        PLAYBOOKS
    )


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_syntax(playbook: str) -> None:
    done = ansible("ansible-playbook", "-i", "ansible/inventory.py", "--syntax-check", f"ansible/{playbook}")
    assert done.code == 0, done.output


@pytest.mark.slow
def test_lint() -> None:
    # In its folder: from the repository's root it takes up every YAML file of the repository.
    done = ansible("ansible-lint", "--offline", "--nocolor", "-c", ".ansible-lint", ".", cwd=REPO / "ansible")
    assert done.code == 0, done.output[-6000:]


def test_yaml_style() -> None:
    done = ansible("yamllint", "--strict", "-c", "ansible/.yamllint", "ansible")
    assert done.code == 0, done.output


@pytest.mark.parametrize("role", ROLES)
def test_role_says_what_it_is_and_is_used(role: str) -> None:
    readme = (REPO / "ansible/roles" / role / "README.md").read_text()
    assert readme.startswith(f"# {role}\n")
    used = "".join((REPO / "ansible" / playbook).read_text() for playbook in PLAYBOOKS)
    assert f"- {role}\n" in used or f"role: {role}\n" in used


@pytest.mark.parametrize("role", ROLES)
def test_secrets_are_never_shown(role: str) -> None:
    """A task that mentions a secret's value carries no_log, or only asks whether there is one."""
    for file in (REPO / "ansible/roles" / role / "tasks").glob("*.yml"):
        for task in flatten(yaml.safe_load(file.read_text())):
            body = {key: value for key, value in task.items() if key not in ("when", "name", "register", "no_log", "msg")}
            text = yaml.safe_dump(body)
            used = [word for word in SECRET_WORDS if f"{{{{ {word}" in text or f"_{word} }}}}" in text]
            if used and not task.get("no_log"):
                assert "debug" in text, f"{file}: {task['name']} shows {used}"


def flatten(tasks: list[dict[str, object]]) -> list[dict[str, object]]:
    """Tasks of a file, those in blocks too."""
    found = []
    for task in tasks:
        below = [one for key in ("block", "rescue", "always") for one in task.get(key, [])]  # type: ignore[attr-defined]
        found += flatten(below) if below else [task]
    return found


def test_programs_for_the_tests_are_installed() -> None:
    for name in ("ansible-playbook", "ansible-lint", "yamllint"):
        assert (SCRIPTS / name).exists(), f"{name} is missing; run `uv sync --all-groups`"
