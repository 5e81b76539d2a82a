"""Resource mappings of the simulated cluster: names of USB and PCI devices, kept as they are given (fakepve only answers)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from fakepve import TaskError
from fakepve.lxc import split_props
from fakepve.routing import die, param_error
from fakepve.storage import split_list

from aether_sim.pve.options import OptionRights, Values

KINDS = ("usb", "pci")
_OPTIONS = ("description", "map", "mdev", "live-migration-capable")


class Mappings(OptionRights):
    """GET, POST, PUT and DELETE below /cluster/mapping, and the devices that a virtual machine's start looks for."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.mappings: dict[str, dict[str, Values]] = {kind: {} for kind in KINDS}
        # Called when one has changed.
        self.mapped: Callable[[], None] = lambda: None

    def _routes_mappings(self) -> list[tuple[str, str, Any]]:
        return [
            (method, f"/cluster/mapping/{kind}{tail}", self._for(kind, handler))
            for kind in KINDS
            for method, tail, handler in (
                ("GET", "", self._mapping_list),
                ("POST", "", self._mapping_create),
                ("GET", "/{id}", self._mapping_get),
                ("PUT", "/{id}", self._mapping_update),
                ("DELETE", "/{id}", self._mapping_delete),
            )
        ]

    def _for(self, kind: str, handler: Any) -> Any:
        async def handle(values: Values, user: str) -> Any:
            before = json.dumps(self.mappings)
            answer = handler(kind, values, user)
            if json.dumps(self.mappings) != before:
                self.mapped()
            return answer

        return handle

    def _mapping_list(self, kind: str, v: Values, user: str) -> list[Values]:
        seen = ("Mapping.Modify", "Mapping.Use", "Mapping.Audit")
        return [
            {"id": name, **facts}
            for name, facts in sorted(self.mappings[kind].items())
            if any(self.allowed(user, f"/mapping/{kind}/{name}", privilege) for privilege in seen)
        ]

    def _mapping_create(self, kind: str, v: Values, user: str) -> None:
        self.need_quorum()
        if v["id"] in self.mappings[kind]:
            raise param_error(id=f"{kind.upper()} ID '{v['id']}' already defined")
        self.mappings[kind][v["id"]] = self._facts(v)

    def _mapping_get(self, kind: str, v: Values, user: str) -> Values:
        return dict(self._mapping(kind, v["id"]))

    def _mapping_update(self, kind: str, v: Values, user: str) -> None:
        self.need_quorum()
        facts = self._mapping(kind, v["id"])
        for key in split_list(v.get("delete")):
            facts.pop(key, None)
        facts.update(self._facts(v))

    def _mapping_delete(self, kind: str, v: Values, user: str) -> None:
        self.need_quorum()
        self.mappings[kind].pop(v["id"], None)

    @staticmethod
    def _facts(v: Values) -> Values:
        facts = {key: v[key] for key in _OPTIONS if key in v}
        if isinstance(facts.get("map"), str):
            facts["map"] = [facts["map"]]
        return facts

    def _mapping(self, kind: str, name: str) -> Values:
        if name not in self.mappings[kind]:
            raise die(f"mapping '{name}' not found")
        return self.mappings[kind][name]

    def check_devices(self, vm: Any) -> None:
        """Raise TaskError where a virtual machine's start finds no device behind a mapping on its node."""
        for key, value in vm.config.items():
            found = re.fullmatch(r"(usb|hostpci)\d+", key)
            name = split_props(str(value))[1].get("mapping") if found else None
            if found is None or name is None:
                continue
            kind = "pci" if found[1] == "hostpci" else "usb"
            devices = [split_props(text)[1] for text in self.mappings[kind].get(name, {}).get("map", [])]
            if name not in self.mappings[kind]:
                raise TaskError(f"{kind.upper()} device mapping not found for '{name}'")
            if not any(device.get("node") == vm.node for device in devices):
                raise TaskError(f"No {kind.upper()} device mapping found for '{name}' on node '{vm.node}'")
