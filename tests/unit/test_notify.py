"""Who is told of what: by Apprise itself, to a web server and a mail server here."""

import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from inventory.secret_store import SecretStore
from ops import notify
from ops.stack import OpsError, Stack

pytest.importorskip("apprise", reason="Apprise is not installed: python3 ops/setup.py --group notify")
STACK = Stack("homelab")


@pytest.fixture
def webhook() -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Port of a web server, and what was posted to it; /no refuses."""
    taken: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path != "/no":
                taken.append(json.loads(body))
            self.send_response(403 if self.path == "/no" else 200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1], taken
        server.shutdown()
        thread.join()


@pytest.fixture
def mail() -> Iterator[tuple[int, list[str]]]:
    """Port of a mail server (RFC 5321, as much as it takes), and the mails that it was given."""
    taken: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            def say(line: str) -> None:
                self.wfile.write(f"{line}\r\n".encode())

            say("220 here")
            while line := self.rfile.readline().decode().strip():
                if line.upper() == "DATA":
                    say("354 go on")
                    text = ""
                    while (part := self.rfile.readline().decode()) != ".\r\n":
                        text += part
                    taken.append(text)
                say("221 bye" if line.upper() == "QUIT" else "250 OK")
                if line.upper() == "QUIT":
                    return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1], taken
        server.shutdown()
        thread.join()


def test_a_webhook_and_a_mailbox_are_told(
    webhook: tuple[int, list[dict[str, Any]]], mail: tuple[int, list[str]], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    hook, posted = webhook
    smtp, mails = mail
    urls = (
        f"json://127.0.0.1:{hook}/yes failed drift\nmailto://127.0.0.1:{smtp}?from=a@example.org&to=b@example.org&mode=insecure\n"
    )
    monkeypatch.setenv(notify.ENVIRONMENT, urls)
    notify.tell(STACK, "deploy", "homelab: up succeeded", "All is well.")
    assert (posted, len(mails)) == ([], 1), "the webhook does not want to know of that"
    notify.tell(STACK, "failed", "homelab: up failed", "web does not answer")
    assert (posted[0]["title"], posted[0]["message"]) == ("homelab: up failed", "web does not answer")
    assert "Subject: homelab: up failed" in mails[1]
    assert notify.notify(STACK, ["--test"]) == 0
    assert len(posted) == 2 and len(mails) == 3
    assert f"json://127.0.0.1:{hook}/…: told" in capsys.readouterr().out


def test_who_cannot_be_told_fails_no_deployment(
    webhook: tuple[int, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv(notify.ENVIRONMENT, f"json://user:s3cret@127.0.0.1:{webhook[0]}/no")
    notify.tell(STACK, "failed", "title", "body")
    said = capsys.readouterr().err
    assert "Not told: json://127.0.0.1" in said and "s3cret" not in said
    assert notify.notify(STACK, ["--test"]) == 1
    monkeypatch.setenv(notify.ENVIRONMENT, "nonsense")
    notify.tell(STACK, "failed", "title", "body")
    assert "Nobody was told: 'nonsense://… ' is not understood" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["ntfy.sh/topic", "ntfy://topic deploy nonsense"])
def test_a_line_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(OpsError, match="is not understood"):
        notify.parse(text)


def test_lines_without_events_are_told_of_all() -> None:
    assert notify.parse("# mine\n\nntfy://a drift\nntfy://b\n") == [
        ("ntfy://a", frozenset({"drift"})), ("ntfy://b", frozenset(notify.EVENTS)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("ntfys://ntfy.example.org/secret-topic", "ntfys://ntfy.example.org/…"),
        ("mailtos://user:pass@example.org?to=x", "mailtos://example.org/…"),
        ("tgram://123:TOKEN/456", "tgram://…"),
    ],
)
def test_tokens_are_not_shown(url: str, told: str) -> None:
    assert notify.shown(url) == told


def test_whom_to_tell_is_kept_encrypted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any) -> None:
    import io
    import subprocess

    from inventory.secret_store import tool

    key = tmp_path / "key.txt"
    try:
        subprocess.run([tool("age-keygen"), "-o", str(key)], check=True, capture_output=True)
    except Exception:
        pytest.skip("age is not built: ./aether engine ensure")
    recipient = subprocess.run([tool("age-keygen"), "-y", str(key)], check=True, capture_output=True, text=True).stdout.strip()
    monkeypatch.delenv(notify.ENVIRONMENT, raising=False)
    monkeypatch.setattr(notify, "secret_store", lambda _: SecretStore(tmp_path / "secrets", key))
    monkeypatch.setattr(notify, "_owners", lambda _: [recipient])
    with pytest.raises(OpsError, match="Nobody is told"):
        notify.notify(STACK, ["--test"])
    monkeypatch.setattr("sys.stdin", io.StringIO("ntfys://ntfy.example.org/secret-topic drift\n"))
    assert notify.notify(STACK, ["--set"]) == 0
    assert "secret-topic" not in (tmp_path / "secrets/notify.yaml").read_text()
    assert notify.notify(STACK, []) == 0
    assert "ntfys://ntfy.example.org/…: drift" in capsys.readouterr().out
