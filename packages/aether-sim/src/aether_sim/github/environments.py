"""Environments and which branches may deploy to them (https://docs.github.com/rest/deployments)."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from aether_sim.github.api import Api
from aether_sim.github.store import Conflict, NotThere, Repository

PATH = "/api/v3/repos/{owner}/{name}/environments/{environment}"


class Environments:
    """Handlers that the API adds to its own."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def routes(self, app: web.Application) -> None:
        """Add them."""
        for method in ("GET", "PUT", "DELETE"):
            app.router.add_route(method, PATH, self._environment)
            app.router.add_route(method, f"{PATH}/deployment-branch-policies/{{policy}}", self._policy)
        app.router.add_get(f"{PATH}/deployment-branch-policies", self._policies)
        app.router.add_post(f"{PATH}/deployment-branch-policies", self._create_policy)

    async def _environment(self, request: web.Request) -> web.Response:
        repository, name = self.api.repository(request), request.match_info["environment"]
        if request.method == "PUT":
            wanted = await request.json() if request.can_read_body else {}
            policy = (wanted or {}).get("deployment_branch_policy")
            if policy and policy["protected_branches"] == policy["custom_branch_policies"]:
                raise Conflict(422, "protected_branches and custom_branch_policies cannot have the same value")
            if repository.private and self.api.plan == "free":
                raise Conflict(403, "Upgrade to GitHub Pro or make this repository public to enable this feature.")
            repository.environments.setdefault(name, {"id": self.api.store.fresh_id()}).update(wanted or {})
        facts = self._facts(request)[1]
        if request.method == "DELETE":
            del repository.environments[name]
            repository.secrets = {key: value for key, value in repository.secrets.items() if not key.startswith(f"{name}/")}
        self.api.store.save()
        if request.method == "DELETE":
            return web.Response(status=204)
        policy = facts.get("deployment_branch_policy")
        rules = [{"id": facts["id"] + 1, "type": "branch_policy"}] if policy else []
        document = {"id": facts["id"], "name": name, "protection_rules": rules, "deployment_branch_policy": policy}
        return web.json_response({**document, "can_admins_bypass": facts.get("can_admins_bypass", True)})

    def _facts(self, request: web.Request) -> tuple[Repository, dict[str, Any]]:
        repository = self.api.repository(request)
        facts = repository.environments.get(request.match_info["environment"])
        if facts is None:
            raise NotThere
        return repository, facts

    async def _policies(self, request: web.Request) -> web.Response:
        found = list(self._facts(request)[1].get("policies", {}).values())
        return web.json_response({"total_count": len(found), "branch_policies": found})

    async def _create_policy(self, request: web.Request) -> web.Response:
        _, facts = self._facts(request)
        wanted = await request.json()
        if not (facts.get("deployment_branch_policy") or {}).get("custom_branch_policies"):
            raise NotThere
        policies = facts.setdefault("policies", {})
        # The API answers 303 for a name that is there already.
        found = next((item for item in policies.values() if item["name"] == wanted["name"]), None)
        if found is not None:
            return web.Response(status=303)
        made = {"id": self.api.store.fresh_id(), "name": wanted["name"], "type": wanted.get("type", "branch")}
        policies[str(made["id"])] = made
        self.api.store.save()
        return web.json_response(made)

    async def _policy(self, request: web.Request) -> web.Response:
        _, facts = self._facts(request)
        policies, number = facts.get("policies", {}), request.match_info["policy"]
        if number not in policies:
            raise NotThere
        if request.method == "DELETE":
            del policies[number]
            self.api.store.save()
            return web.Response(status=204)
        if request.method == "PUT":
            policies[number]["name"] = (await request.json())["name"]
            self.api.store.save()
        return web.json_response(policies[number])
