"""`hashivault://`: a stack's secrets behind the transit key of a real OpenBao."""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from inventory.files import REPOSITORY
from ops import secrets_provider
from tests.system.openbao import OpenBao
from tests.system.state_operators import WORD, Operator
from tests.system.state_servers import Backend, files

KEY = "aether"


@dataclass
class Deployed:
    """A stack whose secrets need the server."""

    server: OpenBao
    operator: Operator

    def sealed_by(self) -> int:
        """Version of the transit key that the stack's data key is sealed with."""
        settings = (self.operator.path / "Pulumi.test.yaml").read_text()
        found = re.search(r"encryptedkey: (\S+)", settings)
        assert found and "secretsprovider: hashivault://aether" in settings and WORD not in settings
        version = re.match(r"vault:v(\d+):", base64.b64decode(found[1]).decode())
        assert version
        return int(version[1])

    def word(self) -> str:
        """The secret output, by whoever asks the server."""
        shown = self.operator.pulumi("stack", "output", "word", "--show-secrets", "--stack", "test")
        assert shown.code == 0, shown.text
        return shown.text.strip()

    def refused(self) -> str:
        """What is told of an `up` that cannot get at the secrets; nothing was changed."""
        before = self.files()
        done = self.operator.up()
        assert done.code, done.text
        assert self.files() == before
        told = secrets_provider.explain("test", done.text)
        assert "Nothing was changed. Fix: " in told and self.server.url in told, done.text
        return told

    def files(self) -> dict[Path, bytes]:
        """The state, byte by byte."""
        folder = Path(self.operator.backend.url.removeprefix("file://"))
        return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "locks" not in path.parts}


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[Deployed]:
    if not (REPOSITORY / ".aether/engine/bin/pulumi").exists():
        pytest.skip("the engine is not there; make it with: ./aether engine ensure")
    server = OpenBao(tmp_path / "openbao")
    try:
        server.start()
        with files(tmp_path / "state") as backend:
            own = {"VAULT_SERVER_URL": server.url, "VAULT_SERVER_TOKEN": server.transit_key(KEY)}
            operator = Operator.make(tmp_path / "operator", Backend(backend.url, own))
            made = operator.pulumi("stack", "init", "test", "--secrets-provider", f"hashivault://{KEY}")
            assert made.code == 0, made.text
            assert operator.pulumi("config", "set", "--secret", "word", WORD, "--stack", "test").code == 0
            up = operator.up()
            assert up.code == 0, up.text
            yield Deployed(server, operator)
    finally:
        server.stop()


def test_the_key_is_rotated_and_the_old_one_ends(deployed: Deployed) -> None:
    server, operator = deployed.server, deployed.operator
    assert deployed.sealed_by() == 1 and deployed.word() == WORD
    assert WORD not in json.dumps(operator.state())
    server.ask("POST", f"transit/keys/{KEY}/rotate", {})
    # What the old version sealed is still read.
    assert operator.up().code == 0
    old = (operator.path / "Pulumi.test.yaml").read_text()
    rotated = operator.pulumi("stack", "change-secrets-provider", f"hashivault://{KEY}", "--stack", "test")
    assert rotated.code == 0, rotated.text
    assert deployed.sealed_by() == 2
    server.ask("POST", f"transit/keys/{KEY}/config", {"min_decryption_version": 2})
    assert operator.up().code == 0 and deployed.word() == WORD
    # Whoever kept the old settings reads nothing.
    (operator.path / "Pulumi.test.yaml").write_text(old)
    assert "is not allowed any more" in deployed.refused()


def test_a_server_that_is_sealed_or_not_there_is_told_and_nothing_changes(deployed: Deployed) -> None:
    server = deployed.server
    server.ask("PUT", "sys/seal")
    assert f"{server.url} is sealed" in deployed.refused()
    server.stop()
    assert f"{server.url} does not answer" in deployed.refused()
    # It starts sealed, by what it has kept.
    server.start()
    assert deployed.operator.up().code == 0 and deployed.word() == WORD


def test_it_ends_with_the_token(deployed: Deployed) -> None:
    server, token = deployed.server, deployed.operator.backend.environment["VAULT_SERVER_TOKEN"]
    server.ask("POST", "auth/token/revoke", {"token": token})
    assert "refuses the token" in deployed.refused()
