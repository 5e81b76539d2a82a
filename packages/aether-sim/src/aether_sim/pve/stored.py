"""What the cluster is told and keeps: HA resources and rules, backup jobs, SDN zones and VNets (fakepve only answers), pools."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from fakepve import FakePve
from fakepve.routing import die, param_error
from fakepve.storage import split_list

Values = dict[str, Any]
# Path of a collection to the property that names an entry (PVE's API schema).
COLLECTIONS = {
    "/cluster/ha/resources": "sid",
    "/cluster/ha/rules": "rule",
    "/cluster/backup": "id",
    "/cluster/sdn/zones": "zone",
    "/cluster/sdn/vnets": "vnet",
}
# What says how, and is not kept.
_NOT_KEPT = ("delete", "digest", "node", "pending", "running", "lock-token", "purge", "force")


class Pools(FakePve):  # type: ignore[misc]  # fakepve has no types
    """Resource pools, which are fakepve's, as a file can keep them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # Called when one, or who is in it, has changed.
        self.pooled: Callable[[], None] = lambda: None

    def kept_pools(self) -> dict[str, Values]:
        """Comment, guests and storages of each pool."""
        return {
            name: {"comment": meta["comment"], "vms": sorted(vms), "storage": sorted(meta["storage"])}
            for name, vms in self.pools.items()
            for meta in [self._pool_meta(name)]
        }

    def take_pools(self, kept: dict[str, Values]) -> None:
        """What `kept_pools` gave."""
        self.pools = {name: set(pool["vms"]) for name, pool in kept.items()}
        self.pool_info = {name: {"comment": pool["comment"], "storage": set(pool["storage"])} for name, pool in kept.items()}
        self._sync_pools()

    def _sync_pools(self) -> None:
        super()._sync_pools()
        self.pooled()

    async def _pool_create(self, v: Values, user: str) -> Any:
        answer = await super()._pool_create(v, user)
        self.pooled()
        return answer


class Stored(Pools):
    """The entries of each collection, by name, as PVE's own files would keep them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.entries: dict[str, dict[str, Values]] = {path: {} for path in COLLECTIONS}
        # Called when something has changed.
        self.stored: Callable[[], None] = lambda: None

    def _routes_stored(self) -> list[tuple[str, str, Any]]:
        routes: list[tuple[str, str, Any]] = [("PUT", "/cluster/sdn", self._sdn_apply)]
        for path, key in COLLECTIONS.items():
            routes += [
                ("GET", path, self._of(path, self._list)),
                ("POST", path, self._of(path, self._create)),
                ("GET", f"{path}/{{{key}}}", self._of(path, self._get)),
                ("PUT", f"{path}/{{{key}}}", self._of(path, self._update)),
                ("DELETE", f"{path}/{{{key}}}", self._of(path, self._delete)),
            ]
        return routes

    def zone_of(self, bridge: str) -> str:
        """The SDN zone of a VNet; any other bridge is of zone localnetwork."""
        vnet = self.entries["/cluster/sdn/vnets"].get(bridge)
        return str(vnet["zone"]) if vnet else "localnetwork"

    def _of(self, path: str, handler: Callable[[str, Values], Any]) -> Any:
        async def handle(values: Values, user: str) -> Any:
            before = json.dumps(self.entries)
            answer = handler(path, values)
            if json.dumps(self.entries) != before:
                self.need_quorum()
                self.follow_ha()
                self.stored()
            return answer

        return handle

    def follow_ha(self) -> None:
        """Each guest knows whether the HA manager has it, and in which state that wants it (`hastate` of /cluster/resources)."""
        resources = self.entries["/cluster/ha/resources"]
        for kind, guests in (("vm", self.vms), ("ct", self.cts)):
            for guest in guests:
                entry = resources.get(f"{kind}:{guest.vmid}")
                guest.ha_state = None if entry is None else str(entry.get("state", "started"))

    async def _ha_request(self, vm: Any, user: str, state: str) -> Any:
        self._ha_wants(f"vm:{vm.vmid}", state)
        return await super()._ha_request(vm, user, state)

    async def _ct_ha(self, ct: Any, user: str, state: str, timeout: Any = None) -> Any:
        self._ha_wants(f"ct:{ct.vmid}", state)
        return await super()._ct_ha(ct, user, state, timeout)

    def _ha_wants(self, sid: str, state: str) -> None:
        """Starting or stopping a guest of the HA manager's is a wish to it (`ha-manager set SID --state`)."""
        self.entries["/cluster/ha/resources"][sid]["state"] = state
        self.stored()

    def _list(self, path: str, v: Values) -> list[Values]:
        return [self._shown(path, name) for name in sorted(self.entries[path])]

    def _shown(self, path: str, name: str) -> Values:
        facts = dict(self.entries[path][name])
        key = COLLECTIONS[path]
        # PVE answers the plain id of an HA resource beside its type.
        return {key: name, **facts, **({"type": name.split(":", maxsplit=1)[0]} if key == "sid" else {})}

    def _create(self, path: str, v: Values) -> None:
        key = COLLECTIONS[path]
        name = str(v[key])
        if name in self.entries[path]:
            words = {"sid": f"resource ID '{name}' already defined", "id": f"Job '{name}' already exists"}
            raise die(words.get(key, f"{key} ID '{name}' already defined"))
        if key == "sid" and not self._guest_of_sid(name):
            raise die(f"unable to find {name.replace(':', ' ')}: no such guest")
        if key == "rule":
            missing = [sid for sid in split_list(v.get("resources")) if sid not in self.entries["/cluster/ha/resources"]]
            if missing:
                raise param_error(resources=f"cannot use unmanaged resource(s) {', '.join(missing)}.")
        if key == "vnet" and v.get("zone") not in self.entries["/cluster/sdn/zones"]:
            raise die(f"zone {v.get('zone')} does not exist")
        self.entries[path][name] = self._kept(path, v)

    def _guest_of_sid(self, sid: str) -> Any:
        return self.guest(int(re.sub(r"\D", "", sid) or 0))

    def _get(self, path: str, v: Values) -> Values:
        name = str(v[COLLECTIONS[path]])
        if name not in self.entries[path]:
            kind = {"sid": f"no such resource '{name}'", "rule": f"no such ha rule '{name}'", "id": f"No such job '{name}'"}
            raise die(kind.get(COLLECTIONS[path], f"{path.rsplit('/', 1)[1]} '{name}' does not exist"))
        return self._shown(path, name)

    def _update(self, path: str, v: Values) -> None:
        self._get(path, v)
        facts = self.entries[path][str(v[COLLECTIONS[path]])]
        for key in split_list(v.get("delete")):
            facts.pop(key, None)
        facts.update(self._kept(path, v))

    def _delete(self, path: str, v: Values) -> None:
        self._get(path, v)
        name = str(v[COLLECTIONS[path]])
        if path == "/cluster/sdn/zones" and any(vnet["zone"] == name for vnet in self.entries["/cluster/sdn/vnets"].values()):
            raise die(f"zone {name} is used by a vnet")
        del self.entries[path][name]

    @staticmethod
    def _kept(path: str, v: Values) -> Values:
        kept = {key: value for key, value in v.items() if key not in (*_NOT_KEPT, COLLECTIONS[path])}
        # The schema of rules has these by the rule's type, which leaves a form's text as it is; PVE answers numbers.
        return {key: int(value) if key in ("strict", "disable") else value for key, value in kept.items()}

    async def _fw_rule_get(self, scope: Any, v: Values, user: str) -> Values:
        """PVE answers the position of a single rule as text, whatever its schema says; the provider takes nothing else."""
        rule: Values = await super()._fw_rule_get(scope, v, user)
        return {**rule, "pos": str(rule["pos"])}

    async def _sdn_apply(self, v: Values, user: str) -> Any:
        async def reload() -> None:
            return None

        node = sorted(self.nodes)[0]
        return await self.task(node, "reloadnetworkall", "", user, reload)
