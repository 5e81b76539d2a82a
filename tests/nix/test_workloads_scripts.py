"""Scripts that the workload hosts run, run for real against fakes of what they talk to."""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
HOSTS = ROOT / "nix" / "hosts"

pytestmark = pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("jq") and shutil.which("bash")), reason="needs bash, curl and jq"
)


class Server:
    """Answers by (method, path); keeps what was asked."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {}
        self.asked: list[tuple[str, str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.asked.append((self.command, self.path, json.loads(body) if body else None))
                status, answer = outer.answers.get((self.command, self.path), (404, {}))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            do_GET = do_POST = handle_any

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.http.shutdown()


def program(directory: Path, name: str, text: str) -> None:
    file = directory / name
    file.write_text(f"#!/bin/bash\n{text}\n")
    file.chmod(0o755)


def run(script: Path, tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """With programs of ``tmp_path/bin`` first."""
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", str(script), *arguments],
        env={"PATH": path, "HOME": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


class TestHeartbeat:
    SCRIPT = HOSTS / "niobe" / "monitoring" / "heartbeat.sh"

    def beat(self, server: Server, tmp_path: Path, alerts: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "bin").mkdir()
        (tmp_path / "heartbeat-url").write_text(f"{server.url}/secret\n")
        program(tmp_path / "bin", "amtool", f"printf '%s' '{alerts}'")
        return run(self.SCRIPT, tmp_path, ALERTMANAGER_URL="http://127.0.0.1:1", CREDENTIALS_DIRECTORY=str(tmp_path))

    def test_goes_out_while_the_watchdog_fires(self, server: Server, tmp_path: Path) -> None:
        server.answers["GET", "/secret"] = (200, {})
        result = self.beat(server, tmp_path, "Watchdog  2026-11-21  active")
        assert result.returncode == 0, result.stderr
        assert server.asked == [("GET", "/secret", None)]

    def test_stays_away_when_it_does_not(self, server: Server, tmp_path: Path) -> None:
        result = self.beat(server, tmp_path, "Alertname  Starts At")
        assert result.returncode == 1 and "Watchdog did not arrive" in result.stderr
        assert server.asked == []

    def test_fails_aloud_when_nobody_hears_it(self, server: Server, tmp_path: Path) -> None:
        server.answers["GET", "/secret"] = (410, {})
        assert self.beat(server, tmp_path, "Watchdog").returncode != 0


class TestPushTemplates:
    SCRIPT = HOSTS / "trinity" / "dev" / "push-templates.sh"

    def push(
        self, server: Server, tmp_path: Path, login: tuple[int, Any] = (201, {"session_token": "token-1"})
    ) -> subprocess.CompletedProcess[str]:
        (tmp_path / "bin").mkdir()
        (tmp_path / "admin-password").write_text("from-sops\n")
        program(tmp_path / "bin", "coder", f'echo "$CODER_SESSION_TOKEN $*" >> {tmp_path}/pushed')
        server.answers["GET", "/healthz"] = (200, {})
        server.answers["POST", "/api/v2/users/login"] = login
        return run(
            self.SCRIPT,
            tmp_path,
            CODER_URL=server.url,
            CODER_ADMIN_EMAIL="coder@example.org",
            CODER_ADMIN_USERNAME="coder",
            CREDENTIALS_DIRECTORY=str(tmp_path),
            TEMPLATES=str(HOSTS / "trinity" / "dev" / "templates"),
            WORKSPACE_IMAGE="localhost/aether-workspace:abc",
        )

    def test_makes_the_owner_on_a_new_deployment(self, server: Server, tmp_path: Path) -> None:
        server.answers["POST", "/api/v2/users/first"] = (201, {})
        result = self.push(server, tmp_path)
        assert result.returncode == 0, result.stderr
        account = {"email": "coder@example.org", "username": "coder", "password": "from-sops"}
        assert ("POST", "/api/v2/users/first", account) in server.asked
        directory = HOSTS / "trinity" / "dev" / "templates" / "podman"
        assert (tmp_path / "pushed").read_text() == (
            f"token-1 templates push podman --directory {directory}/ --variable image=localhost/aether-workspace:abc --yes\n"
        )
        assert "from-sops" not in result.stdout + result.stderr

    def test_makes_no_second_owner(self, server: Server, tmp_path: Path) -> None:
        server.answers["GET", "/api/v2/users/first"] = (200, {"message": "The initial user has already been created!"})
        assert self.push(server, tmp_path).returncode == 0
        assert not any(method == "POST" and path.endswith("/first") for method, path, _ in server.asked)

    def test_a_wrong_password_pushes_nothing(self, server: Server, tmp_path: Path) -> None:
        server.answers["GET", "/api/v2/users/first"] = (200, {})
        result = self.push(server, tmp_path, login=(401, {}))
        assert result.returncode != 0
        assert not (tmp_path / "pushed").exists()


def test_a_backup_leaves_the_time_of_its_success(tmp_path: Path) -> None:
    file = tmp_path / "backup.prom"
    result = run(ROOT / "nix" / "modules" / "backup-done.sh", tmp_path, str(file))
    assert result.returncode == 0, result.stderr
    name, value = file.read_text().splitlines()[-1].split()
    assert name == "aether_backup_last_success_timestamp_seconds"
    assert abs(int(value) - file.stat().st_mtime) < 5
    assert file.stat().st_mode & 0o777 == 0o644
    # What the alert rules ask for.
    assert name in (HOSTS / "niobe" / "monitoring" / "rules" / "backup.yaml").read_text()
