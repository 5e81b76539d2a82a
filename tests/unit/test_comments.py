"""The review's comment: made once, changed in place, by servers that answer as GitHub's and GitLab's documentation says."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ops import comments
from ops.__main__ import main
from ops.comments import Place, fitting, place, post
from ops.stack import OpsError


@dataclass
class Forge:
    """Comments of merge request 7, behind both services' paths; each wants its own token header."""

    url: str = ""
    notes: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


GITHUB, GITLAB = "/repos/ada/home/issues", "/api/v4/projects/12/merge_requests/7/notes"


@pytest.fixture
def forge() -> Iterator[Forge]:
    there = Forge(notes=[{"id": number, "body": f"talk {number}"} for number in range(1, 131)])

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            url, body = urlsplit(self.path), self.rfile.read(int(self.headers.get("Content-Length") or 0))
            there.asked.append(f"{self.command} {url.path}")
            github = url.path.startswith(GITHUB)
            allowed = (
                self.headers.get("Authorization") == "Bearer t0ken" if github else self.headers.get("PRIVATE-TOKEN") == "t0ken"
            )
            if not allowed:
                self.say(401, {"message": "Bad credentials" if github else "401 Unauthorized"})
                return
            if self.command == "GET":
                query = {key: int(value[0]) for key, value in parse_qs(url.query).items()}
                start = (query["page"] - 1) * query["per_page"]
                self.say(200, there.notes[start : start + query["per_page"]])
                return
            text = json.loads(body)["body"]
            if self.command == "POST" and url.path in (f"{GITHUB}/7/comments", GITLAB):
                there.notes.append({"id": len(there.notes) + 1, "body": text})
                self.say(201, there.notes[-1])
                return
            number = int(url.path.rsplit("/", 1)[1])
            wanted = ("PATCH", f"{GITHUB}/comments/{number}") if github else ("PUT", f"{GITLAB}/{number}")
            if (self.command, url.path) != wanted:
                self.say(404, {"message": "Not Found"})
                return
            there.notes[number - 1]["body"] = text
            self.say(200, there.notes[number - 1])

        do_GET = do_POST = do_PATCH = do_PUT = answer

        def say(self, code: int, value: object) -> None:
            body = json.dumps(value).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        there.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield there
        server.shutdown()
        thread.join()


def environment(forge: Forge, service: str, folder: Path) -> dict[str, str]:
    if service == "gitlab":
        return {
            "CI_MERGE_REQUEST_IID": "7",
            "CI_PROJECT_ID": "12",
            "CI_API_V4_URL": f"{forge.url}/api/v4",
            "REVIEW_TOKEN": "t0ken",
        }
    event = folder / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 7}}))
    return {
        "GITHUB_REPOSITORY": "ada/home", "GITHUB_API_URL": forge.url, "GH_TOKEN": "t0ken", "GITHUB_EVENT_PATH": str(event),
    }  # fmt: skip


@pytest.mark.parametrize("service", ["github", "gitlab"])
def test_a_review_is_one_comment_a_stack_changed_in_place(forge: Forge, service: str, tmp_path: Path) -> None:
    at = place(environment(forge, service, tmp_path))
    assert post("first", "homelab", at) == "made"
    forge.notes.append({"id": len(forge.notes) + 1, "body": f"> {comments.MARK.format(stack='homelab')} was said"})
    assert post("of the other", "cloud", at) == "made"
    assert post("second", "homelab", at) == "changed"
    mine = [note["body"].partition("\n")[2] for note in forge.notes if note["body"].startswith("<!-- aether")]
    assert mine == ["second", "of the other"]
    assert len(forge.notes) == 133 and "talk 130" in [note["body"] for note in forge.notes]


def test_what_the_service_says_is_passed_on(forge: Forge, tmp_path: Path) -> None:
    at = place({**environment(forge, "github", tmp_path), "GH_TOKEN": "wrong"})
    with pytest.raises(OpsError, match=r"GET .*401 .*Bad credentials"):
        post("text", "homelab", at)
    nobody = Place("http://127.0.0.1:9/x", "http://127.0.0.1:9/x/{id}", "PUT", {}, 100)
    with pytest.raises(OpsError, match="could not be posted"):
        post("text", "homelab", nobody)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "is for a pipeline of a merge request"),
        ({"GITHUB_REPOSITORY": "ada/home", "GH_TOKEN": "x"}, "no pull request"),
        ({"CI_MERGE_REQUEST_IID": "7"}, "REVIEW_TOKEN is not set"),
    ],
)
def test_where_it_cannot_go_is_said_before_anything(given: dict[str, str], told: str) -> None:
    with pytest.raises(OpsError, match=told):
        place(given)


def test_a_review_that_is_too_long_is_cut_at_a_line_and_its_fence_closed() -> None:
    text = "head\n```\n" + "line\n" * 100 + "```\n"
    cut = fitting(text, 300)
    assert len(cut) <= 300 and cut.count("```") == 2 and "line\n```\n" in cut and "did not fit" in cut
    assert fitting(text, 10_000) == text


def test_an_evaluation_needs_neither_state_nor_secrets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """What a fork's pipeline has: the files."""
    for name in ("SOPS_AGE_KEY_FILE", "SOPS_AGE_KEY", "PULUMI_CONFIG_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr("ops.review.changed_hosts", lambda base: {"gateway": "gateway", "vps": "vps", base: base})
    assert main(["--stack", "homelab", "review", "--evaluation", "--base", "HEAD~1"]) == 0
    text = capsys.readouterr().out
    assert "1 systems change: `gateway`." in text and "evaluated alone" in text
