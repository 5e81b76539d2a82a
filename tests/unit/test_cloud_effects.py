"""The tables of docs/aws.md: what the same data that is tested prints."""

from pathlib import Path

from inventory import cloud_effects
from ops import cloud_policy

DOCUMENT = Path("docs/aws.md")


def test_the_document_holds_the_current_tables() -> None:
    text = DOCUMENT.read_text()
    assert cloud_effects.replace_block(text) == text, "./aether inventory effects --cloud --write docs/aws.md"
    assert cloud_policy.replace_block(text) == text, "./aether --stack cloud cloud policy --write docs/aws.md"


def test_the_document_names_the_locked_versions() -> None:
    text = DOCUMENT.read_text()
    lock = Path("uv.lock").read_text()
    version = lock.split('name = "pulumi-aws"\n')[1].split('version = "')[1].split('"')[0]
    assert f"`pulumi-aws` {'.'.join(version.split('.')[:2])}" in text
    table = Path("tests/unit/aws_provider.toml").read_text()
    assert "terraform-provider-aws 6.47.1" in table and "6.47.1" in text
