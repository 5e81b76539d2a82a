"""Who may do what at the simulated API: users, privilege-separated tokens, roles and their propagation.

fakepve knows root (and takes each of root's tokens for it) and otherwise adds privileges up. Here they are decided as
PVE::RPCEnvironment and PVE::AccessControl do: the roles of the nearest path on the way down count alone, a token has what it
and its user both have, and nobody but the login root@pam is root.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiohttp import web
from fakepve import FakePve, PveError
from fakepve.server import API, USER, error, params

ROOT = "root@pam"
# In place of a privilege: whoever asks has been checked already.
CHECKED = "(checked)"


class Rights(FakePve):  # type: ignore[misc]  # fakepve has no types
    """The permission checks of every request: first the schema's of the path, then those inside the handlers."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # User or token to its (path, privileges, propagate).
        self.acl: dict[str, list[tuple[str, frozenset[str], bool]]] = {}
        self.major = 9

    def assign(self, who: str, path: str, privileges: Iterable[str], propagate: bool = True) -> None:
        """`pveum acl modify PATH` with a role of these privileges, for a user or a token (USER!NAME).

        Raises PveError for a privilege that this version of PVE does not know.
        """
        named = frozenset(privileges)
        for privilege in sorted(named):
            if privilege.startswith("VM.GuestAgent.") if self.major < 9 else privilege == "VM.Monitor":
                raise PveError(400, f"Parameter verification failed.\nprivs: invalid privilege '{privilege}'")
        self.acl.setdefault(who, []).append((path, named, propagate))

    def held(self, who: str, path: str) -> frozenset[str]:
        """Privileges of a user, or a token together with its user, on a path; a guest's pool counts."""
        user, _, token = who.partition("!")
        own = self._own(who, path)
        return own & self._own(user, path) if token and user != ROOT else own

    def _own(self, who: str, path: str) -> frozenset[str]:
        steps = [step for step in path.split("/") if step]
        found: frozenset[str] = frozenset()
        for depth in range(len(steps) + 1):
            at = "/" + "/".join(steps[:depth])
            here = [privileges for where, privileges, on in self.acl.get(who, []) if where == at and (on or depth == len(steps))]
            if here:
                found = frozenset().union(*here)
        return found.union(*(self._own(who, pool) for pool in self._pools(steps)))

    def _pools(self, steps: list[str]) -> list[str]:
        if steps[:1] == ["vms"] and len(steps) == 2 and steps[1].isdigit():
            return [f"/pool/{name}" for name, members in self.pools.items() if int(steps[1]) in members]
        if steps[:1] == ["storage"] and len(steps) == 2:
            return [f"/pool/{name}" for name, facts in self.pool_info.items() if steps[1] in facts["storage"]]
        return []

    def allowed(self, user: str | None, path: str, priv: str) -> bool:
        """Whether a user or token holds a privilege on a path."""
        if user == ROOT or priv == CHECKED:
            return True
        if self.major < 9 and priv.startswith("VM.GuestAgent."):
            priv = "VM.Monitor"
        return user is not None and priv in self.held(user, path)

    def check_permissions(self, user: str | None, perms: Any, values: Any, declared: Any = None) -> None:
        """Raise a 403 PveError unless the schema's rule lets the user in; fakepve lets root's tokens through."""
        if user == ROOT or (perms or {}).get("user") == "world":
            return
        rule = (perms or {}).get("check")
        if rule is None and (perms or {}).get("user") == "all" and user is not None:
            return
        allowed, why = self._check(user, rule, values, declared) if rule else (False, f"user != {ROOT}")
        if not allowed:
            raise PveError(403, f"Permission check failed ({why})" if why else "Permission check failed")

    async def _answer(self, request: web.Request, handler: Any, generic: Any, path_node: Any) -> Any:
        """The schema's check also for the routes that fakepve wrote by hand, and what no token may call."""
        try:
            await self._check_request(request, generic)
        except PveError as refused:
            return error(refused.status, refused.message, refused.errors)
        return await super()._answer(request, handler, generic, path_node)

    async def _check_request(self, request: web.Request, generic: Any) -> None:
        user = request[USER]
        match = generic or self.resolve(request, API)
        method = match and match.methods.get(request.method)
        if user is None or user == ROOT or not method:
            return
        if "!" in user and not method.get("allowtoken", 1):
            uri = request.path.removeprefix(API)
            raise PveError(403, f"Permission check failed (URI '{uri}' not available with API token, need proper ticket.\n)")
        declared = (method.get("parameters") or {}).get("properties", {})
        self.check_permissions(user, method.get("permissions"), {**await params(request), **match.params}, declared)

    async def _permissions(self, v: dict[str, Any], user: str) -> dict[str, dict[str, int]]:
        """GET /access/permissions: privileges by path."""
        who = v.get("userid") or user
        paths = {"/", "/access", "/nodes", "/pool", "/sdn", "/storage", "/vms"}
        paths |= {path for entries in self.acl.values() for path, *_ in entries}
        paths = {v["path"]} if v.get("path") is not None else paths
        held = {path: self.held(who, path) for path in paths}
        return {path: dict.fromkeys(sorted(privileges), 1) for path, privileges in sorted(held.items()) if privileges}
