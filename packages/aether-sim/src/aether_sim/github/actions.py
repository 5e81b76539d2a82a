"""Workflow runs (https://docs.github.com/rest/actions): a push starts one, its jobs take their turns, the last publishes."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from fnmatch import fnmatch
from typing import Any

import yaml
from aiohttp import web

from aether_sim.github.api import Api
from aether_sim.github.store import Git, NotThere, Repository

PATH = "/api/v3/repos/{owner}/{name}/actions"
FOLDER = ".github/workflows"
# Repository, image, commit -> what the job's log says. Raises what makes the job fail.
Publish = Callable[[Repository, str, str], Awaitable[str]]


class Actions:
    """Handlers that the API adds to its own, and the runner. `counts` says whether a fault holds for a run."""

    def __init__(self, api: Api, publish: Publish, counts: Callable[[str], bool]) -> None:
        self.api, self.publish, self.counts = api, publish, counts
        self.step = 0.2  # seconds that a job takes beside its work
        self._tasks: set[asyncio.Task[None]] = set()
        self._runner = asyncio.Lock()

    def routes(self, app: web.Application) -> None:
        """Add them."""
        app.router.add_get(f"{PATH}/runs", self._list)
        app.router.add_get(f"{PATH}/runs/{{run}}/jobs", self._jobs)
        app.router.add_post(f"{PATH}/runs/{{run}}/rerun-failed-jobs", self._rerun)
        app.router.add_get(f"{PATH}/jobs/{{job}}/logs", self._log)
        app.router.add_post(f"{PATH}/workflows/{{workflow}}/dispatches", self._dispatch)

    async def stop(self) -> None:
        """End what runs; it is where it was when the simulator starts again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def pushed(self, repository: Repository, branch: str, commit: str, changed: list[str]) -> None:
        """Start what a push of COMMIT to BRANCH starts."""
        git = self.api.store.git(repository)
        for path in [path for path in git.files(git.tree(commit)) if path.startswith(f"{FOLDER}/")]:
            push = (_triggers(_workflow(git, commit, path)) or {}).get("push")
            if push is None or branch not in push.get("branches", [branch]):
                continue
            ignored = push.get("paths-ignore", [])
            if ignored and all(any(fnmatch(name, pattern) for pattern in ignored) for name in changed):
                continue
            self._begin(repository, branch, commit, path, "push")

    def _begin(self, repository: Repository, branch: str, commit: str, path: str, event: str) -> None:
        number = self.api.store.fresh_id()
        workflow = _workflow(self.api.store.git(repository), commit, path)
        run: dict[str, Any] = {
            "id": number,
            "name": workflow.get("name", path),
            "path": path,
            "head_branch": branch,
            "head_sha": commit,
            "event": event,
            "status": "queued",
            "conclusion": None,
            "run_attempt": 1,
            "html_url": f"https://github.com/{repository.full_name}/actions/runs/{number}",
            "created_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "jobs": [job for name, facts in workflow["jobs"].items() for job in self._planned(name, facts)],
        }
        repository.runs.append(run)
        self._start(repository, run)

    def _planned(self, name: str, facts: dict[str, Any]) -> list[dict[str, Any]]:
        matrix = facts.get("strategy", {}).get("matrix", {})
        title, found = str(facts.get("name", name)), []
        for values in itertools.product(*matrix.values()):
            chosen = dict(zip(matrix, values, strict=True))
            shown = title
            for key, value in chosen.items():
                shown = shown.replace(f"${{{{ matrix.{key} }}}}", str(value))
            found.append(
                {
                    "id": self.api.store.fresh_id(),
                    "name": shown,
                    "status": "queued",
                    "conclusion": None,
                    "environment": facts.get("environment", ""),
                    "image": chosen.get("image", ""),
                    "log": "",
                }
            )
        return found

    def _start(self, repository: Repository, run: dict[str, Any]) -> None:
        self.api.store.save()
        task = asyncio.create_task(self._work(repository, run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, repository: Repository, run: dict[str, Any]) -> None:
        async with self._runner:
            if self.counts("workflow-slow"):
                await asyncio.sleep(5)
            fails = self.counts("workflow-fails")
            run["status"], failed = "in_progress", False
            for job in run["jobs"]:
                if job["conclusion"] == "success":
                    continue
                if failed:
                    job |= {"status": "completed", "conclusion": "skipped"}
                    continue
                job["status"] = "in_progress"
                await asyncio.sleep(self.step)
                try:
                    if fails and job["image"]:
                        raise JobFailed(
                            "error: package 'no-such-package' was not found\nError: Process completed with exit code 1."
                        )
                    job["log"] = await self._do(repository, run, job)
                except JobFailed as error:
                    job["log"], failed = str(error), True
                job |= {"status": "completed", "conclusion": "failure" if failed else "success"}
            run |= {"status": "completed", "conclusion": "failure" if failed else "success"}
            self.api.store.save()

    async def _do(self, repository: Repository, run: dict[str, Any], job: dict[str, Any]) -> str:
        if not job["environment"]:
            return f"{job['name']}: done\n"
        if not may_deploy(repository, job["environment"], run["head_branch"]):
            branch, environment = run["head_branch"], job["environment"]
            raise JobFailed(f'Branch "{branch}" is not allowed to deploy to {environment} due to environment protection rules.')
        return await self.publish(repository, job["image"], run["head_sha"])

    # Endpoints

    def _run(self, request: web.Request) -> tuple[Repository, dict[str, Any]]:
        repository = self.api.repository(request)
        found = next((run for run in repository.runs if str(run["id"]) == request.match_info["run"]), None)
        if found is None:
            raise NotThere
        return repository, found

    async def _list(self, request: web.Request) -> web.Response:
        repository, sha = self.api.repository(request), request.query.get("head_sha")
        runs = [_shown(run) for run in reversed(repository.runs) if sha in (None, run["head_sha"])]
        return web.json_response({"total_count": len(runs), "workflow_runs": runs})

    async def _jobs(self, request: web.Request) -> web.Response:
        _, run = self._run(request)
        jobs = [{key: job[key] for key in ("id", "name", "status", "conclusion")} for job in run["jobs"]]
        return web.json_response({"total_count": len(jobs), "jobs": jobs})

    async def _log(self, request: web.Request) -> web.Response:
        repository = self.api.repository(request)
        for run in repository.runs:
            for job in run["jobs"]:
                if str(job["id"]) == request.match_info["job"] and job["status"] == "completed":
                    return web.Response(text=job["log"])
        raise NotThere

    async def _rerun(self, request: web.Request) -> web.Response:
        repository, run = self._run(request)
        for job in run["jobs"]:
            if job["conclusion"] != "success":
                job |= {"status": "queued", "conclusion": None, "log": ""}
        run |= {"status": "queued", "conclusion": None, "run_attempt": run["run_attempt"] + 1}
        self._start(repository, run)
        return web.json_response({}, status=201)

    async def _dispatch(self, request: web.Request) -> web.Response:
        repository, branch = self.api.repository(request), (await request.json())["ref"]
        git = self.api.store.git(repository)
        path, commit = f"{FOLDER}/{request.match_info['workflow']}", git.head(branch)
        if path not in git.files(git.tree(commit)) or "workflow_dispatch" not in _triggers(_workflow(git, commit, path)):
            raise NotThere
        self._begin(repository, branch, commit, path, "workflow_dispatch")
        return web.Response(status=204)


class JobFailed(Exception):
    """A job ends badly; the message is its log."""


def may_deploy(repository: Repository, environment: str, branch: str) -> bool:
    """Whether a workflow of BRANCH gets the secrets of ENVIRONMENT.

    "Protected branches" are those of branch protection rules, which this GitHub has none of: a ruleset is not one, and without
    any every branch may deploy (https://docs.github.com/actions/managing-workflow-runs-and-deployments: deployment branches).
    """
    facts = repository.environments.get(environment)
    if facts is None:
        return True
    policy = facts.get("deployment_branch_policy")
    if not policy or not policy["custom_branch_policies"]:
        return True
    return any(fnmatch(branch, item["name"]) for item in facts.get("policies", {}).values())


def _shown(run: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in run.items() if key != "jobs"}


def _workflow(git: Git, commit: str, path: str) -> dict[Any, Any]:
    return dict(yaml.safe_load(git.content(git.blob(path, commit))))


def _triggers(workflow: dict[Any, Any]) -> dict[str, Any]:
    # YAML 1.1 reads the key `on` as true.
    return dict(workflow.get("on") or workflow.get(True) or {})
