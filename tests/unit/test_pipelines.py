"""Pipelines of an owner: valid by the schemas of those who run them, and only of commands that exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

WORKFLOWS = sorted(Path(".github/workflows").glob("*.yml"))


@pytest.mark.parametrize(
    ("schema", "file"),
    [("vendor.gitlab-ci", Path(".gitlab-ci.yml")), *(("vendor.github-workflows", path) for path in WORKFLOWS)],
    ids=str,
)
def test_a_pipeline_is_valid(schema: str, file: Path) -> None:
    # GitLab reads !reference and merges anchors; both are plain YAML here.
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(file)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("file", WORKFLOWS, ids=str)
def test_actions_are_pinned_by_commit(file: Path) -> None:
    used = re.findall(r"uses:\s*(\S+)", file.read_text())
    assert used
    for action in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action


@pytest.mark.parametrize("file", [Path(".gitlab-ci.yml"), *WORKFLOWS], ids=str)
def test_commands_exist(file: Path) -> None:
    from ops.__main__ import COMMANDS

    text = file.read_text()
    targets = set(re.findall(r"^([a-z-]+):", Path("Makefile").read_text(), re.MULTILINE))
    for target in re.findall(r"\bmake ([a-z-]+)", text):
        assert target in targets
    for command in re.findall(r"-m ops (?:--stack \S+ )?([a-z]+)", text):
        assert command in COMMANDS


CHANGED = "from ops.changed import changed_hosts; print(*changed_hosts"
OUTPOST = """
[site]
name = "outpost"
[hosts.outpost]
kind = "hcloud-vm"
[hosts.lookout]
kind = "external"
os = "nixos"
"""


def test_changed_hosts_are_those_whose_sources_differ(tmp_path: Path) -> None:
    """On a copy of the repository: a change of one host's file names that host."""
    folders = ["nix", "inventory", "flake.nix", "flake.lock", "components", "ops", "ansible", "stacks"]
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *folders]
    listed = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, listed):
        if Path(name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(Path(name).read_bytes())
    (tmp_path / "pyproject.toml").write_text("")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for step in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "base"]):
        subprocess.run([*git, *step], check=True)
    # A kind whose name does not say NixOS, in a file of the owner's own; and a host that is nobody's to build.
    (tmp_path / "inventory/hetzner.toml").write_text(OUTPOST)
    code = f"{CHANGED}('HEAD'))"
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "outpost" in result.stdout.split() and "lookout" not in result.stdout, result.stdout + result.stderr
    (tmp_path / "inventory/hetzner.toml").unlink()
    file = tmp_path / "nix/hosts/niobe/cockpit.nix"
    file.write_text(file.read_text() + "# touched\n")
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.stdout.split() == ["cockpit"], result.stdout + result.stderr
    # An environment's hosts are of the same sources, so they are touched, too.
    file = tmp_path / "nix/hosts/oracle/adguard/default.nix"
    file.write_text(file.read_text() + "# touched\n")
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert {"adguard", "cockpit", "staging-adguard"} == set(result.stdout.split()), result.stdout + result.stderr
