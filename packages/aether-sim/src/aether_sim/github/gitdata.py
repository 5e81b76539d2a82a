"""The git database's endpoints (https://docs.github.com/rest/git): trees, commits and branches."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from aether_sim.github.api import Api
from aether_sim.github.store import BRANCH, Git, Repository

PATH = "/api/v3/repos/{owner}/{name}/git"


class GitData:
    """Handlers that the API adds to its own."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self._one_at_a_time = asyncio.Lock()

    def routes(self, app: web.Application) -> None:
        """Add them."""
        for path in (f"{PATH}/ref/heads/{{branch:.+}}", f"{PATH}/refs/heads/{{branch:.+}}"):
            app.router.add_get(path, self._ref)
        app.router.add_patch(f"{PATH}/refs/heads/{{branch:.+}}", self._move)
        app.router.add_post(f"{PATH}/refs", self._create_ref)
        app.router.add_get(f"{PATH}/commits/{{sha}}", self._commit)
        app.router.add_post(f"{PATH}/commits", self._create_commit)
        app.router.add_get(f"{PATH}/trees/{{sha}}", self._tree)
        app.router.add_post(f"{PATH}/trees", self._create_tree)

    def _of(self, request: web.Request) -> tuple[Repository, Git]:
        repository = self.api.repository(request)
        return repository, self.api.store.git(repository)

    async def _ref(self, request: web.Request) -> web.Response:
        _, git = self._of(request)
        branch = request.match_info["branch"]
        return web.json_response(_ref(branch, await asyncio.to_thread(git.head, f"refs/heads/{branch}")))

    async def _move(self, request: web.Request) -> web.Response:
        repository, git = self._of(request)
        branch, commit = request.match_info["branch"], str((await request.json())["sha"])
        async with self._one_at_a_time:
            before = await asyncio.to_thread(git.head, branch)
            changed = await asyncio.to_thread(git.changed, before, commit)
            self.api.may_write(changed)
            await asyncio.to_thread(git.move, branch, commit)
        self.api.pushed(repository, branch, commit, changed)
        return web.json_response(_ref(branch, commit))

    async def _create_ref(self, request: web.Request) -> web.Response:
        repository, git = self._of(request)
        wanted = await request.json()
        branch = str(wanted["ref"]).removeprefix("refs/heads/")
        await asyncio.to_thread(git.move, branch, wanted["sha"])
        self.api.pushed(repository, branch, wanted["sha"], await asyncio.to_thread(git.changed, BRANCH, wanted["sha"]))
        return web.json_response(_ref(branch, wanted["sha"]), status=201)

    async def _commit(self, request: web.Request) -> web.Response:
        _, git = self._of(request)
        commit = await asyncio.to_thread(git.head, request.match_info["sha"])
        return web.json_response({"sha": commit, "tree": {"sha": await asyncio.to_thread(git.tree, commit)}})

    async def _create_commit(self, request: web.Request) -> web.Response:
        _, git = self._of(request)
        wanted = await request.json()
        author = wanted.get("author") or {"name": self.api.owner, "email": f"{self.api.owner}@users.noreply.github.com"}
        made = await asyncio.to_thread(
            git.commit_tree, wanted["tree"], wanted.get("parents", []), wanted["message"], author["name"], author["email"]
        )
        return web.json_response({"sha": made, "tree": {"sha": wanted["tree"]}}, status=201)

    async def _tree(self, request: web.Request) -> web.Response:
        _, git = self._of(request)
        files = await asyncio.to_thread(git.files, request.match_info["sha"])
        entries = [{"path": path, "mode": "100644", "type": "blob", "sha": blob} for path, blob in files.items()]
        return web.json_response({"sha": request.match_info["sha"], "tree": entries, "truncated": False})

    async def _create_tree(self, request: web.Request) -> web.Response:
        _, git = self._of(request)
        wanted = await request.json()
        made = await asyncio.to_thread(git.make_tree, wanted["base_tree"], wanted["tree"])
        return web.json_response({"sha": made, "tree": []}, status=201)


def _ref(branch: str, commit: str) -> dict[str, Any]:
    return {"ref": f"refs/heads/{branch}", "object": {"type": "commit", "sha": commit}}
