"""What a registry's answer means, with fakes for crane and cosign; and the simulated registry's private packages."""

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from aether_sim.registry.gate import Gate
from components.registry.digest import look_up_one, main
from components.registry.lookup import Answer, RegistryError, look_up, why_unreadable

DIGEST = "sha256:" + "a" * 64
DENIED = "GET https://ghcr.io/token?scope=repository%3Aexample%2Fone%3Apull: DENIED: requested access to the resource is denied"


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "cosign.pub").write_text("key\n")
    stand_in(tmp_path, "cosign", "exit 0")
    return tmp_path


def stand_in(tools: Path, name: str, text: str) -> None:
    (tools / name).write_text(f"#!/bin/sh\n{text}\n")
    (tools / name).chmod(0o755)


def one_denied(tools: Path, said: str) -> None:
    stand_in(tools, "crane", f'case $2 in *one*) echo "{said}" >&2; exit 1 ;; *) echo {DIGEST} ;; esac')


def test_digests_are_references(tools: Path) -> None:
    stand_in(tools, "crane", f"echo {DIGEST}")
    answer = look_up("ghcr.io/example", ["one", "two"], str(tools / "cosign.pub"))
    assert answer.images == {name: f"ghcr.io/example/{name}@{DIGEST}" for name in ("one", "two")}


@pytest.mark.parametrize(
    ("said", "means"),
    [
        (DENIED, "make it public on https://github.com/users/example/packages/container/one/settings"),
        ("UNAUTHORIZED: authentication required", "give its hosts a pull secret"),
        ("MANIFEST_UNKNOWN: manifest unknown", "was not published yet"),
        ("NAME_UNKNOWN", "was not published yet"),
        ("dial tcp: connection refused", "does not answer: dial tcp: connection refused"),
    ],
)
def test_an_image_that_cannot_be_read_is_left_out_with_its_reason(tools: Path, said: str, means: str) -> None:
    one_denied(tools, said)
    answer = look_up("ghcr.io/example", ["one", "two"], str(tools / "cosign.pub"))
    assert list(answer.images) == ["two"] and list(answer.unreadable) == ["one"]
    assert means in answer.unreadable["one"] and "Fix: " in answer.unreadable["one"]


def test_denied_is_not_absent() -> None:
    absent = why_unreadable("ghcr.io/example/one", "NAME_UNKNOWN")
    assert why_unreadable("ghcr.io/example/one", DENIED) != absent and "public" not in absent


def test_a_signature_of_another_key_is_an_error(tools: Path) -> None:
    stand_in(tools, "crane", f"echo {DIGEST}")
    stand_in(tools, "cosign", 'echo "Error: no matching signatures" >&2; exit 10')
    with pytest.raises(RegistryError, match=r"is not signed by .*no matching signatures.*no host is given it"):
        look_up("ghcr.io/example", ["one"], str(tools / "cosign.pub"))


def test_an_image_of_others_keeps_its_digest_while_the_registry_denies_it(tools: Path) -> None:
    reference = "ghcr.io/ublue-os/one:stable"
    stand_in(tools, "crane", f"echo {DIGEST}")
    first = look_up_one(reference, Answer())
    assert first.images == {"ghcr.io/ublue-os/one": f"ghcr.io/ublue-os/one@{DIGEST}"}
    one_denied(tools, DENIED)
    then = look_up_one(reference, first)
    assert then.images == first.images and "Fix: make it public" in then.unreadable["ghcr.io/ublue-os/one"]


def test_the_program_prints_one_document(
    tools: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one_denied(tools, "NAME_UNKNOWN")
    monkeypatch.setenv("AETHER_REFERENCE", "ghcr.io/ublue-os/one:stable")
    assert main() == 0
    assert set(json.loads(capsys.readouterr().out)) == {"images", "unreadable"}


def test_a_private_package_of_the_simulated_registry_is_denied_and_another_is_not() -> None:
    """As GHCR: the challenge first, then no token for what is private."""

    def status(url: str) -> int:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    async def play() -> list[int]:
        behind = await asyncio.start_server(_registry, "127.0.0.1", 0)
        gate = Gate("127.0.0.1", 0)
        await gate.open(f"http://127.0.0.1:{behind.sockets[0].getsockname()[1]}")
        assert gate._runner is not None
        at = f"http://127.0.0.1:{gate._runner.addresses[0][1]}"
        gate.private = {"example/one"}
        paths = [
            "v2/example/one/manifests/latest",
            "v2/example/two/manifests/latest",
            "token?scope=repository:example/one:pull",
            "token?scope=repository:example/two:pull",
        ]
        found = [await asyncio.to_thread(status, f"{at}/{path}") for path in paths]
        await gate.close()
        behind.close()
        return found

    # A loop of its own: the one that Pulumi's mocks use stays this thread's.
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(play()) == [401, 200, 403, 200]
    loop.close()


def test_two_that_were_copied_from_one_place_take_two_ports() -> None:
    """Each wants the port that the first one had, and has it before it serves."""

    async def play() -> None:
        first = Gate("127.0.0.1", 0)
        second = Gate("127.0.0.1", first.port)
        assert second.port != first.port
        await asyncio.gather(first.open("http://127.0.0.1:1"), second.open("http://127.0.0.1:1"))
        await first.close()
        third = Gate("127.0.0.1", first.port)
        assert third.port == first.port, "free again"
        with pytest.raises(OSError, match="was taken by another program"):
            await first.open("http://127.0.0.1:1")
        await first.close()
        await second.close()
        await third.close()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(play())
    loop.close()


async def _registry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
    await writer.drain()
    writer.close()
