"""Releases of the engine: downloaded where they are, and built where they are not or break."""

import http.server
import io
import os
import socket
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_world import builds, part, world

from aether_engine import __main__ as cli
from aether_engine import build, cache, checkout, releases
from aether_engine.progress import Progress

__all__ = ["world"]


class Releases(http.server.BaseHTTPRequestHandler):
    """Serves the release archive."""

    archive = b""

    def do_HEAD(self) -> None:
        self.send_response(200 if self.archive else 404)
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.archive)))
        self.end_headers()
        self.wfile.write(self.archive)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Releases]]:
    handler = type("Handler", (Releases,), {})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AETHER_RELEASES", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AETHER_ENGINE", "auto")
    yield handler
    server.shutdown()
    server.server_close()


def archive(*names: str) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name in names:
            data = b"#!/bin/sh\necho released\n"
            member = tarfile.TarInfo(f"pulumi/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return content.getvalue()


def test_releases_are_used_where_they_can_be_downloaded(world: Path, mirror: type[Releases]) -> None:
    mirror.archive = archive("pulumi", "pulumi-exec", "pulumi-language-go")
    assert cli.main(["ensure", "--quiet"]) == 0
    assert builds(world) == 1  # the tool alone
    assert (cache.part_entry(part("pulumi")) / "source").read_text() == "released\n"
    assert (checkout.ENGINE_LINK / "bin/pulumi-exec").read_text() == "#!/bin/sh\necho released\n"
    plugin = checkout.PULUMI_HOME / "plugins/resource-thing-v2.0.0/pulumi-resource-thing"
    assert plugin.read_text() == "released\n"


def test_a_broken_release_falls_back_to_a_build(world: Path, mirror: type[Releases], capsys: pytest.CaptureFixture[str]) -> None:
    mirror.archive = archive("pulumi")
    build.make(part("pulumi"), Progress(), released=releases.reachable())
    assert "the release has no pulumi-exec" in capsys.readouterr().err
    assert (cache.part_entry(part("pulumi")) / "source").read_text() == "built\n"


def test_no_releases_there_means_building(world: Path, mirror: type[Releases]) -> None:
    assert not releases.reachable()


def test_a_silent_network_costs_two_seconds(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AETHER_RELEASES", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("AETHER_ENGINE", "auto")
        started = time.monotonic()
        assert not releases.reachable()
        assert time.monotonic() - started < releases.PROBE_LIMIT + 1


def test_a_download_that_breaks_off_leaves_nothing(world: Path, mirror: type[Releases], monkeypatch: pytest.MonkeyPatch) -> None:
    from aether_engine.fetch import fetch

    mirror.archive = b"x" * 10
    original = mirror.send_header

    def lie(self: Releases, name: str, value: str) -> None:
        original(self, name, "20" if name == "Content-Length" else value)

    monkeypatch.setattr(mirror, "send_header", lie)
    with pytest.raises(OSError, match=r"10|IncompleteRead|bytes"):
        fetch(os.environ["AETHER_RELEASES"], world / "downloads" / "file")
    assert list((world / "downloads").iterdir()) == []
