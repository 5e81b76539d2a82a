"""The REST endpoints (https://docs.github.com/rest, version 2022-11-28) that the real provider calls, on loopback."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from aiohttp import web
from nacl.exceptions import CryptoError

from aether_sim.github.permissions import EVERYTHING, refusal, writes_workflows
from aether_sim.github.store import BRANCH, Conflict, NotThere, Repository, Store

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_DEFAULTS: dict[str, Any] = {
    "description": None,
    "homepage": None,
    "private": False,
    "visibility": "public",
    "has_issues": True,
    "has_projects": True,
    "has_wiki": True,
    "has_downloads": True,
    "has_discussions": False,
    "is_template": False,
    "archived": False,
    "fork": False,
    "topics": [],
    "default_branch": BRANCH,
    "allow_auto_merge": False,
    "allow_merge_commit": True,
    "allow_rebase_merge": True,
    "allow_squash_merge": True,
    "allow_update_branch": False,
    "allow_forking": True,
    "delete_branch_on_merge": False,
    "web_commit_signoff_required": False,
    "merge_commit_message": "PR_TITLE",
    "merge_commit_title": "MERGE_MESSAGE",
    "squash_merge_commit_message": "COMMIT_MESSAGES",
    "squash_merge_commit_title": "COMMIT_OR_PR_TITLE",
    "security_and_analysis": {
        "secret_scanning": {"status": "enabled"},
        "secret_scanning_push_protection": {"status": "enabled"},
    },
}


class Api:
    """The handlers. `before` sees every request first and may answer it (faults)."""

    def __init__(self, store: Store, owner: str, token: str, log: Callable[[str], None]) -> None:
        self.store, self.owner, self.token, self.log = store, owner, token, log
        self.before: Callable[[web.Request], web.Response | None] = lambda request: None
        # Repository, branch, commit, changed paths: what a push starts.
        self.pushed: Callable[[Repository, str, str, list[str]], None] = lambda *_: None
        # Routes of the modules beside this one.
        self.more: list[Callable[[web.Application], None]] = []
        self.requests: list[tuple[str, str]] = []
        self.plan = "free"
        # Permission -> read or write, of the token.
        self.granted: Mapping[str, str] = EVERYTHING
        # git's plumbing is not made for two writers of one branch.
        self._one_at_a_time = asyncio.Lock()

    def application(self) -> web.Application:
        """The routes, under /api/v3 as an enterprise server has them: the provider takes any other host for one."""
        app = web.Application(middlewares=[self._gate], client_max_size=16 << 20)
        repository = "/api/v3/repos/{owner}/{name}"
        secrets = "/api/v3/repositories/{id}/environments/{environment}/secrets"
        for method, path, handler in (
            ("GET", "/api/v3/user", self._user),
            ("GET", "/api/v3/orgs/{org}", self._not_there),
            ("POST", "/api/v3/user/repos", self._create),
            ("GET", repository, self._read),
            ("PATCH", repository, self._edit),
            ("DELETE", repository, self._delete),
            ("PUT", f"{repository}/topics", self._topics),
            ("GET", f"{repository}/vulnerability-alerts", self._alerts),
            ("PUT", f"{repository}/vulnerability-alerts", self._alerts),
            ("DELETE", f"{repository}/vulnerability-alerts", self._alerts),
            ("GET", f"{repository}/branches/{{branch}}", self._branch),
            ("GET", f"{repository}/commits", self._commits),
            ("GET", f"{repository}/commits/{{sha}}", self._commit),
            ("GET", f"{repository}/contents/{{file:.+}}", self._content),
            ("PUT", f"{repository}/contents/{{file:.+}}", self._write),
            ("DELETE", f"{repository}/contents/{{file:.+}}", self._remove),
            ("GET", f"{repository}/rulesets", self._rulesets),
            ("POST", f"{repository}/rulesets", self._create_ruleset),
            ("GET", f"{repository}/rulesets/{{ruleset}}", self._ruleset),
            ("PUT", f"{repository}/rulesets/{{ruleset}}", self._ruleset),
            ("DELETE", f"{repository}/rulesets/{{ruleset}}", self._ruleset),
            ("GET", f"{secrets}/public-key", self._public_key),
            ("GET", f"{secrets}/{{secret}}", self._secret),
            ("PUT", f"{secrets}/{{secret}}", self._secret),
            ("DELETE", f"{secrets}/{{secret}}", self._secret),
        ):
            app.router.add_route(method, path, handler)
        for add in self.more:
            add(app)
        for name in ("permissions", "selected", "workflow"):
            path = f"{repository}/actions/permissions" + {"permissions": "", "selected": "/selected-actions"}.get(
                name, "/workflow"
            )
            app.router.add_route("GET", path, self._table(name))
            app.router.add_route("PUT", path, self._table(name))
        return app

    @web.middleware
    async def _gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.requests.append((request.method, request.path.removeprefix("/api/v3")))
        if (answer := self.before(request)) is not None:
            return answer
        if request.headers.get("Authorization", "").partition(" ")[2] != self.token:
            return _say(401, "Bad credentials")
        if (missing := refusal(request.method, request.path.removeprefix("/api/v3"), self.granted)) is not None:
            return web.json_response(
                {
                    "message": "Resource not accessible by personal access token",
                    "documentation_url": "https://docs.github.com/rest",
                },
                status=403,
                headers={"X-Accepted-GitHub-Permissions": missing},
            )
        return await self._answer(request, handler)

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except NotThere:
            return _say(404, "Not Found")
        except Conflict as error:
            return _say(error.status, str(error))
        except web.HTTPNotFound:
            # A route that this fake does not have: say so where somebody looks.
            self.log(f"github: no route for {request.method} {request.path}")
            return _say(404, "Not Found")

    def may_write(self, paths: Iterable[str]) -> None:
        """Raises Conflict where the token may not write one of these paths: workflows ask for a permission of their own."""
        for path in paths:
            if writes_workflows(path) and self.granted.get("workflows") != "write":
                raise Conflict(
                    403, f"refusing to allow a token to create or update workflow `{path}` without `workflows` permission"
                )

    # Account and repository

    async def _user(self, request: web.Request) -> web.Response:
        return web.json_response({"login": self.owner, "id": 1, "type": "User"})

    async def _not_there(self, request: web.Request) -> web.Response:
        raise NotThere

    def repository(self, request: web.Request) -> Repository:
        """The repository that a request is about. Raises NotThere."""
        found = self.store.repositories.get(request.match_info["name"])
        if found is None or found.owner != request.match_info["owner"]:
            raise NotThere
        return found

    def _document(self, repository: Repository) -> dict[str, Any]:
        path = self.store.git(repository).path
        return {
            **_DEFAULTS,
            **repository.settings,
            "id": repository.id,
            "node_id": f"R_{repository.id}",
            "name": repository.name,
            "full_name": repository.full_name,
            "owner": {"login": repository.owner, "id": 1, "type": "User"},
            "html_url": f"https://github.com/{repository.full_name}",
            # That part is real: `git clone` of it shows the files.
            "clone_url": f"file://{path}",
            "git_url": f"file://{path}",
            "ssh_url": f"file://{path}",
            "svn_url": f"https://github.com/{repository.full_name}",
        }

    async def _create(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        name = wanted.pop("name")
        if name in self.store.repositories:
            errors = [
                {"resource": "Repository", "code": "custom", "field": "name", "message": "name already exists on this account"}
            ]
            return web.json_response({"message": "Repository creation failed.", "errors": errors}, status=422)
        settings = {key: value for key, value in wanted.items() if key in _DEFAULTS}
        repository = self.store.create(self.owner, name, settings, bool(wanted.get("auto_init")))
        return web.json_response(self._document(repository), status=201)

    async def _read(self, request: web.Request) -> web.Response:
        document = self._document(self.repository(request))
        tag = f'W/"{hashlib.sha256(str(document).encode()).hexdigest()}"'
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers={"ETag": tag})
        return web.json_response(document, headers={"ETag": tag})

    async def _edit(self, request: web.Request) -> web.Response:
        repository = self.repository(request)
        wanted = await request.json()
        repository.settings |= {key: value for key, value in wanted.items() if key in _DEFAULTS and key != "topics"}
        self.store.save()
        return web.json_response(self._document(repository))

    async def _delete(self, request: web.Request) -> web.Response:
        self.store.delete(self.repository(request))
        return web.Response(status=204)

    async def _topics(self, request: web.Request) -> web.Response:
        repository = self.repository(request)
        repository.settings["topics"] = (await request.json())["names"]
        self.store.save()
        return web.json_response({"names": repository.settings["topics"]})

    async def _alerts(self, request: web.Request) -> web.Response:
        repository = self.repository(request)
        if request.method != "GET":
            repository.alerts = request.method == "PUT"
            self.store.save()
            return web.Response(status=204)
        return web.Response(status=204) if repository.alerts else _say(404, "Vulnerability alerts are disabled.")

    def _table(self, name: str) -> Handler:
        """A group of settings that is read and written as a whole."""

        async def handle(request: web.Request) -> web.Response:
            repository = self.repository(request)
            if request.method == "GET":
                empty: dict[str, Any] = {
                    "permissions": {"enabled": True, "allowed_actions": "all"},
                    "workflow": {"default_workflow_permissions": "read", "can_approve_pull_request_reviews": False},
                }.get(name, {})
                return web.json_response(getattr(repository, name) or empty)
            if name == "selected" and repository.permissions.get("allowed_actions") != "selected":
                raise Conflict(409, "Conflict")
            setattr(repository, name, await request.json())
            self.store.save()
            return web.Response(status=204)

        return handle

    # Contents

    async def _branch(self, request: web.Request) -> web.Response:
        git = self.store.git(self.repository(request))
        branch = request.match_info["branch"]
        return web.json_response(
            {"name": branch, "commit": {"sha": await asyncio.to_thread(git.head, branch)}, "protected": False}
        )

    async def _commits(self, request: web.Request) -> web.Response:
        git = self.store.git(self.repository(request))
        found = await asyncio.to_thread(git.last_commits, request.query.get("path", ""), request.query.get("sha", BRANCH))
        return web.json_response([_commit(commit, git.describe(commit)) for commit in found[:30]])

    async def _commit(self, request: web.Request) -> web.Response:
        git = self.store.git(self.repository(request))
        commit = await asyncio.to_thread(git.head, request.match_info["sha"])
        return web.json_response({**_commit(commit, git.describe(commit)), "files": []})

    async def _content(self, request: web.Request) -> web.Response:
        git, file = self.store.git(self.repository(request)), request.match_info["file"]
        ref = request.query.get("ref", BRANCH)
        blob = await asyncio.to_thread(git.blob, file, ref)
        return web.json_response(self._file(request, file, ref, blob, git.content(blob)))

    def _file(self, request: web.Request, file: str, ref: str, blob: str, content: bytes) -> dict[str, Any]:
        return {
            "type": "file",
            "name": file.rpartition("/")[2],
            "path": file,
            "sha": blob,
            "size": len(content),
            "encoding": "base64",
            "content": base64.encodebytes(content).decode(),
            "url": f"{request.url.origin()}{request.path}?ref={ref}",
        }

    async def _write(self, request: web.Request) -> web.Response:
        repository, file, wanted = self.repository(request), request.match_info["file"], await request.json()
        git = self.store.git(repository)
        self.may_write([file])
        async with self._one_at_a_time:
            existing = await self._matching(repository, file, wanted.get("sha"))
            author = (
                wanted.get("author")
                or wanted.get("committer")
                or {"name": self.owner, "email": f"{self.owner}@users.noreply.github.com"}
            )
            content = base64.b64decode(wanted["content"])
            commit = await asyncio.to_thread(git.commit, file, content, wanted["message"], author["name"], author["email"])
            blob = await asyncio.to_thread(git.blob, file)
        self.pushed(repository, BRANCH, commit, [file])
        answer = {
            "content": self._file(request, file, BRANCH, blob, content),
            "commit": _commit(commit, git.describe(commit))["commit"] | {"sha": commit},
        }
        return web.json_response(answer, status=200 if existing else 201)

    async def _remove(self, request: web.Request) -> web.Response:
        repository, file, wanted = self.repository(request), request.match_info["file"], await request.json()
        git = self.store.git(repository)
        self.may_write([file])
        async with self._one_at_a_time:
            if not await self._matching(repository, file, wanted.get("sha")):
                raise NotThere
            author = wanted.get("author") or {"name": self.owner, "email": f"{self.owner}@users.noreply.github.com"}
            commit = await asyncio.to_thread(git.commit, file, None, wanted["message"], author["name"], author["email"])
        self.pushed(repository, BRANCH, commit, [file])
        return web.json_response({"content": None, "commit": {"sha": commit}})

    async def _matching(self, repository: Repository, file: str, sha: str | None) -> bool:
        """Whether FILE exists, with the blob that the caller names."""
        try:
            blob = await asyncio.to_thread(self.store.git(repository).blob, file)
        except NotThere:
            return False
        if not sha:
            raise Conflict(422, 'Invalid request.\n\n"sha" wasn\'t supplied.')
        if sha != blob:
            raise Conflict(409, f"{file} does not match {sha}")
        return True

    # Rulesets, environments, secrets

    async def _rulesets(self, request: web.Request) -> web.Response:
        found = self.repository(request).rulesets.values()
        return web.json_response([{key: item[key] for key in ("id", "name", "target", "enforcement")} for item in found])

    async def _create_ruleset(self, request: web.Request) -> web.Response:
        repository, wanted = self.repository(request), await request.json()
        if repository.private and self.plan == "free":
            raise Conflict(403, "Upgrade to GitHub Pro or make this repository public to enable this feature.")
        if any(ruleset["name"] == wanted["name"] for ruleset in repository.rulesets.values()):
            raise Conflict(422, "Validation Failed: Name must be unique")
        ruleset = {
            **wanted,
            "id": self.store.fresh_id(),
            "source_type": "Repository",
            "source": repository.full_name,
        }
        repository.rulesets[str(ruleset["id"])] = {**ruleset, "node_id": f"RRS_{ruleset['id']}"}
        self.store.save()
        return web.json_response(repository.rulesets[str(ruleset["id"])], status=201)

    async def _ruleset(self, request: web.Request) -> web.Response:
        repository, number = self.repository(request), request.match_info["ruleset"]
        if number not in repository.rulesets:
            raise NotThere
        if request.method == "DELETE":
            del repository.rulesets[number]
            self.store.save()
            return web.Response(status=204)
        if request.method == "PUT":
            repository.rulesets[number] |= await request.json()
            self.store.save()
        return web.json_response(repository.rulesets[number])

    def _of_environment(self, request: web.Request) -> tuple[Repository, str]:
        repository = self.store.by_id(request.match_info["id"])
        if request.match_info["environment"] not in repository.environments:
            raise NotThere
        return repository, request.match_info["environment"]

    async def _public_key(self, request: web.Request) -> web.Response:
        repository, _ = self._of_environment(request)
        key = base64.b64encode(bytes(repository.sealed_key().public_key)).decode()
        self.store.save()
        return web.json_response({"key_id": str(repository.id), "key": key})

    async def _secret(self, request: web.Request) -> web.Response:
        repository, environment = self._of_environment(request)
        key = f"{environment}/{request.match_info['secret']}"
        known = repository.secrets.get(key)
        if request.method == "PUT":
            try:
                value = repository.open_secret((await request.json())["encrypted_value"])
            except CryptoError:
                raise Conflict(422, "Bad request - encrypted_value is not for this key") from None
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            repository.secrets[key] = {"created_at": (known or {}).get("created_at", now), "updated_at": now, "sha256": value}
            self.store.save()
            return web.Response(status=204 if known else 201)
        if known is None:
            raise NotThere
        if request.method == "DELETE":
            del repository.secrets[key]
            self.store.save()
            return web.Response(status=204)
        return web.json_response(
            {"name": request.match_info["secret"], **{name: known[name] for name in ("created_at", "updated_at")}}
        )


def _commit(sha: str, facts: dict[str, str]) -> dict[str, Any]:
    person = {"name": facts["name"], "email": facts["email"], "date": facts["date"]}
    return {"sha": sha, "commit": {"message": facts["message"], "author": person, "committer": person}}


def _say(status: int, message: str) -> web.Response:
    return web.json_response({"message": message, "documentation_url": "https://docs.github.com/rest"}, status=status)
