"""GitHub's REST API for the programs that run while a stack is deployed (https://docs.github.com/rest)."""

from __future__ import annotations

import os
from typing import Any

import requests
from github import Auth, Github, GithubException, GithubRetry

HOSTED = "https://api.github.com"


class Failed(Exception):
    """A program has to end; the message says why and what to do."""


class Api:
    """One repository (OWNER/NAME) over the API at URL. Rate limits and errors of the server are waited for.

    Raises:
        Failed: from every method, with what GitHub said.
    """

    def __init__(self, url: str, token: str, repository: str) -> None:
        base = url.rstrip("/")
        # The provider takes any other host for an enterprise server, whose API is below this path.
        self.base = base if base == HOSTED or base.endswith("/api/v3") else f"{base}/api/v3"
        self.token, self.repository = token, repository
        # GitHub's secondary rate limit asks for pauses (seconds); an own server does not.
        reads, writes = (0.25, 1.0) if self.base == HOSTED else (0.0, 0.0)
        self._requester = Github(
            base_url=self.base,
            auth=Auth.Token(token),
            per_page=100,
            # Also of what moves the branch, whose repetition changes nothing.
            retry=GithubRetry(total=8, allowed_methods=frozenset({"GET", "POST", "PATCH"})),
            seconds_between_requests=reads,
            seconds_between_writes=writes,
        ).requester

    @classmethod
    def from_environment(cls) -> Api:
        """From AETHER_GITHUB_URL, AETHER_GITHUB_TOKEN and AETHER_REPOSITORY."""
        return cls(*(os.environ[f"AETHER_{name}"] for name in ("GITHUB_URL", "GITHUB_TOKEN", "REPOSITORY")))

    def get(self, path: str, **query: str) -> Any:
        return self._call("GET", path, query, None)

    def send(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """POST, PATCH or the like."""
        return self._call(method, path, {}, body)

    def log(self, job: int) -> str:
        """The log of a job, empty where GitHub has none (any more)."""
        answer = requests.get(
            f"{self.base}/repos/{self.repository}/actions/jobs/{job}/logs",
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=60,
        )
        return answer.text if answer.ok else ""

    def _call(self, method: str, path: str, query: dict[str, str], body: dict[str, Any] | None) -> Any:
        try:
            _, data = self._requester.requestJsonAndCheck(
                method, f"{self.base}/repos/{self.repository}/{path}", parameters=query or None, input=body
            )
        except GithubException as error:
            message = (error.data or {}).get("message", "") if isinstance(error.data, dict) else str(error.data)
            hint = {
                401: "Fix: the token is expired or revoked, make a new one (docs/image.md)",
                403: "Fix: give the token the permissions that `./aether github token` prints",
                404: "Fix: does the token reach this repository? `./aether github token` says what it needs",
            }.get(error.status, "Fix: run it again later")
            status = _Status(f"{self.repository}: GitHub answers {method} {path} with {error.status} {message}. {hint}")
            status.code = error.status
            raise status from None
        except requests.RequestException as error:
            raise Failed(f"{self.base} does not answer: {error}. Fix: run it again later") from None
        return data


class _Status(Failed):
    """An answer that is an error."""

    code = 0


def status_of(error: Failed) -> int:
    """The HTTP status that ERROR stands for; 0 where there was none."""
    return error.code if isinstance(error, _Status) else 0
