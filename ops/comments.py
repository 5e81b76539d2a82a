"""The review as a comment of a merge request: made once, then changed in place, at GitHub and GitLab."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from ops.stack import OpsError

MARK = "<!-- aether review of {stack}: one comment, changed in place -->"
TIMEOUT = 30
PAGE = 100


@dataclass(frozen=True)
class Place:
    """Where comments of one merge request are: their collection, how one is changed, and what a request has to say of itself."""

    comments: str
    comment: str
    """With ``{id}``."""
    change: str
    """HTTP method."""
    headers: Mapping[str, str]
    longest: int
    """Letters of a comment."""


def place(environment: Mapping[str, str] = os.environ) -> Place:
    """The merge request of the pipeline that runs here.

    Raises:
        OpsError: none runs here, or it may not comment.
    """
    if environment.get("CI_MERGE_REQUEST_IID"):
        token = environment.get("REVIEW_TOKEN")
        if not token:
            raise OpsError("REVIEW_TOKEN is not set. Fix: a project access token with the scope api, as a masked CI variable")
        project, number = environment["CI_PROJECT_ID"], environment["CI_MERGE_REQUEST_IID"]
        notes = f"{environment['CI_API_V4_URL']}/projects/{project}/merge_requests/{number}/notes"
        return Place(notes, f"{notes}/{{id}}", "PUT", {"PRIVATE-TOKEN": token}, 1_000_000)
    if environment.get("GITHUB_REPOSITORY"):
        token, found = environment.get("GH_TOKEN") or environment.get("GITHUB_TOKEN"), _pull_request(environment)
        if not token or found is None:
            raise OpsError("no pull request, or no GH_TOKEN. Fix: on: pull_request, and GH_TOKEN with pull-requests: write")
        issues = f"{environment.get('GITHUB_API_URL', 'https://api.github.com')}/repos/{environment['GITHUB_REPOSITORY']}/issues"
        headers = {
            "Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28",
        }  # fmt: skip
        return Place(f"{issues}/{found}/comments", f"{issues}/comments/{{id}}", "PATCH", headers, 65_536)
    raise OpsError("--post is for a pipeline of a merge request, at GitHub or GitLab. Fix: --output FILE, and post it yourself")


def post(text: str, stack: str, at: Place) -> str:
    """Make TEXT the comment of STACK's review; returns ``made`` or ``changed``.

    Raises:
        OpsError: the service refuses, with what it says.
    """
    mark = MARK.format(stack=stack)
    body = fitting(f"{mark}\n{text}", at.longest)
    mine = next((each["id"] for each in _all(at) if str(each.get("body", "")).startswith(mark)), None)
    if mine is None:
        _ask("POST", at.comments, at, {"body": body})
        return "made"
    _ask(at.change, at.comment.format(id=mine), at, {"body": body})
    return "changed"


def fitting(text: str, longest: int) -> str:
    """TEXT, cut at a line where it is longer than LONGEST; a fence that the cut leaves open is closed."""
    if len(text) <= longest:
        return text
    end = "\n\n**The rest did not fit: it is in the pipeline's own output.**\n"
    kept = text[: longest - len(end) - 4].rpartition("\n")[0]
    return f"{kept}{chr(10) + '```' if kept.count('```') % 2 else ''}{end}"


def _all(at: Place) -> Iterator[dict[str, Any]]:
    page = 1
    while True:
        found = _ask("GET", f"{at.comments}?per_page={PAGE}&page={page}", at)
        yield from found
        if len(found) < PAGE:
            return
        page += 1


def _ask(method: str, url: str, at: Place, body: Mapping[str, str] | None = None) -> Any:
    try:
        answer = requests.request(method, url, headers=dict(at.headers), json=body, timeout=TIMEOUT)
    except requests.RequestException as error:
        raise OpsError(f"the review could not be posted: {error}") from None
    if not answer.ok:
        raise OpsError(f"the review could not be posted: {method} {url}: {answer.status_code} {answer.text.strip()[:300]}")
    return answer.json()


def _pull_request(environment: Mapping[str, str]) -> int | None:
    """Number of the pull request whose event started the workflow."""
    path = environment.get("GITHUB_EVENT_PATH")
    event = json.loads(Path(path).read_text()) if path and Path(path).exists() else {}
    number = event.get("pull_request", {}).get("number")
    return int(number) if number else None
