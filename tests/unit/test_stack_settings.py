"""Pulumi.yaml and the stacks' files: what the engine asks of every stack, every stack has."""

from pathlib import Path

import yaml

from stacks.settings import Settings, key_of

DECLARED = yaml.safe_load(Path("Pulumi.yaml").read_text())["config"]


def test_what_has_no_default_is_set_by_every_stack() -> None:
    """The engine refuses a stack without it, whatever its composition."""
    wanted = {key for key, facts in DECLARED.items() if "default" not in facts}
    files = sorted(Path().glob("Pulumi.*.yaml"))
    assert len(files) > 5
    files.append(Path("ops/init/files/Pulumi.homelab.yaml"))
    for file in files:
        text = file.read_text()
        assert {key for key in wanted if f"{key}:" not in text} == set(), file


def test_every_declared_key_is_a_setting() -> None:
    known = {f"aether:{key_of(name)}" for name in Settings.model_fields}
    assert set(DECLARED) <= known
