"""The REST API (https://docs.hetzner.cloud): what its Terraform provider calls to make, read, change and delete."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from aether_sim.hcloud.store import LOCATIONS, TYPES, Store, Thing, datacenter, location, now, server_type

Changed = Callable[[], Awaitable[None]]
_SINGULAR = {
    "servers": "server",
    "ssh_keys": "ssh_key",
    "firewalls": "firewall",
    "primary_ips": "primary_ip",
    "volumes": "volume",
}
_LISTED = {**_SINGULAR, "images": "image"}


class ApiError(Exception):
    """A refusal in the API's words."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    def response(self) -> web.Response:
        """As the API writes it."""
        error = {"code": self.code, "message": self.message, "details": None}
        return web.json_response({"error": error}, status=self.status)


class Api:
    """CHANGED is awaited whenever a server was made, changed its power, or went."""

    def __init__(self, store: Store, token: str, changed: Changed) -> None:
        self.store, self.token, self.changed = store, token, changed
        self.before: Callable[[web.Request], web.Response | None] = lambda _: None

    def application(self) -> web.Application:
        """Everything below /v1."""
        app = web.Application()
        app.router.add_route("*", "/v1/{path:.*}", self._door)
        return app

    async def _door(self, request: web.Request) -> web.Response:
        if (refusal := self.before(request)) is not None:
            return refusal
        try:
            if request.headers.get("Authorization") != f"Bearer {self.token}":
                raise ApiError(401, "unauthorized", "unable to authenticate")
            body = await request.json() if request.can_read_body else {}
            answer = await self._route(request, request.match_info["path"].strip("/"), body or {})
        except ApiError as error:
            return error.response()
        self.store.save()
        if request.method == "DELETE" and answer is None:
            return web.Response(status=204)
        return web.json_response(answer, status=201 if request.method == "POST" else 200)

    async def _route(self, request: web.Request, path: str, body: Thing) -> Any:
        kind, *rest = path.split("/")
        if kind == "actions":
            return self._actions(request, rest)
        if kind in ("server_types", "locations", "datacenters"):
            return self._catalogue(kind, rest, request.query.get("name"))
        if kind not in _LISTED:
            raise ApiError(404, "not_found", f"{request.method} {path}: not simulated")
        if not rest:
            return await self._create(kind, body) if request.method == "POST" else self._list(kind, request)
        thing = self.store.find(kind, rest[0])
        if thing is None:
            raise ApiError(404, "not_found", f"{_LISTED[kind]} with ID '{rest[0]}' not found")
        if len(rest) == 3 and rest[1] == "actions":
            return await self._act(kind, thing, rest[2], body)
        if request.method == "DELETE":
            return await self._delete(kind, thing)
        if request.method == "PUT":
            thing.update({key: value for key, value in body.items() if key in ("name", "labels", "auto_delete")})
        return {_LISTED[kind]: self._show(kind, thing)}

    # Reading

    def _catalogue(self, kind: str, rest: list[str], name: str | None) -> Any:
        make: Callable[[str], Thing] = {"server_types": server_type, "locations": location, "datacenters": datacenter}[kind]
        found = [make(each) for each in (TYPES if kind == "server_types" else LOCATIONS)]
        if rest:
            one = [each for each in found if str(each["id"]) == rest[0]]
            if not one:
                raise ApiError(404, "not_found", f"{kind}: no {rest[0]}")
            return {kind.removesuffix("s"): one[0]}
        return _page(kind, [each for each in found if name in (None, each["name"])])

    def _list(self, kind: str, request: web.Request) -> Any:
        wanted = {key: request.query[key] for key in ("name", "architecture", "fingerprint") if key in request.query}
        found = [thing for thing in self.store.things[kind].values() if all(thing.get(k) == v for k, v in wanted.items())]
        return _page(kind, [self._show(kind, thing) for thing in found])

    def _actions(self, request: web.Request, rest: list[str]) -> Any:
        if rest:
            action = self.store.find("actions", rest[0])
            if action is None:
                raise ApiError(404, "not_found", "action not found")
            return {"action": action}
        asked = [self.store.find("actions", number) for number in request.query.getall("id", [])]
        return _page("actions", [action for action in asked if action])

    def _show(self, kind: str, thing: Thing) -> Thing:
        if kind == "servers":
            return self._server(thing)
        if kind == "primary_ips":
            return {**thing, "datacenter": datacenter(thing["location"]), "location": location(thing["location"])}
        if kind == "volumes":
            return {**thing, "location": location(thing["location"])}
        if kind == "firewalls":
            attached = [each["id"] for each in self.store.things["servers"].values() if thing["id"] in each["firewalls"]]
            return {**thing, "applied_to": [{"type": "server", "server": {"id": number}} for number in attached]}
        return thing

    def _server(self, thing: Thing) -> Thing:
        own = {each["type"]: each for each in self.store.things["primary_ips"].values() if each["assignee_id"] == thing["id"]}
        net: Thing = {
            family: {
                "id": own[family]["id"],
                "ip": own[family]["ip"],
                "blocked": False,
                "dns_ptr": names,
            }
            if family in own
            else None
            # IPv4 has one name, IPv6 a list of them.
            for family, names in (("ipv4", ""), ("ipv6", []))
        }
        volumes = [each["id"] for each in self.store.things["volumes"].values() if each["server"] == thing["id"]]
        kind = server_type(thing["server_type"])
        return {
            **{key: thing[key] for key in ("id", "name", "status", "created", "labels", "protection", "primary_disk_size")},
            "public_net": {
                **net, "floating_ips": [], "firewalls": [{"id": each, "status": "applied"} for each in thing["firewalls"]],
            },
            "private_net": [], "server_type": kind, "datacenter": datacenter(thing["location"]),
            "location": location(thing["location"]), "image": self.store.things["images"].get(thing["image"]), "iso": None,
            "rescue_enabled": False, "locked": False, "backup_window": None, "outgoing_traffic": 0, "ingoing_traffic": 0,
            "included_traffic": 0, "volumes": volumes, "load_balancers": [], "placement_group": None,
        }  # fmt: skip

    # Changing

    def _action(self, command: str, kind: str, number: int) -> Thing:
        """Done at once: what takes time is the machine's boot, which nobody waits for here."""
        done = {"status": "success", "progress": 100, "started": now(), "finished": now(), "error": None}
        return self.store.add("actions", command=command, resources=[{"id": number, "type": _LISTED[kind]}], **done)

    async def _create(self, kind: str, body: Thing) -> Any:
        name = body.get("name", "")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 _.@-]*", name):
            raise ApiError(422, "invalid_input", "invalid input in field 'name'")
        if kind != "images" and self.store.named(kind, name):
            raise ApiError(409, "uniqueness_error", f"{_LISTED[kind]} name is already used")
        thing: Thing = getattr(self, f"_new_{kind}")(name, body)
        thing["labels"] = body.get("labels") or {}
        answer: Thing = {_LISTED[kind]: self._show(kind, thing)}
        if kind in ("servers", "volumes", "primary_ips"):
            answer |= {"action": self._action(f"create_{_LISTED[kind]}", kind, thing["id"]), "next_actions": []}
        if kind == "servers":
            answer["root_password"] = None
            await self.changed()
        if kind == "firewalls":
            answer["actions"] = []
        return answer

    def _new_ssh_keys(self, name: str, body: Thing) -> Thing:
        words = body["public_key"].split()
        if any(other["public_key"].split()[:2] == words[:2] for other in self.store.things["ssh_keys"].values()):
            raise ApiError(409, "uniqueness_error", "SSH key not unique")
        return self.store.add("ssh_keys", name=name, public_key=body["public_key"], fingerprint=_fingerprint(words[1]))

    def _new_firewalls(self, name: str, body: Thing) -> Thing:
        return self.store.add("firewalls", name=name, rules=body.get("rules") or [], applied_to=[])

    def _new_primary_ips(self, name: str, body: Thing) -> Thing:
        return self._address(name, body["type"], body.get("location") or _place(body), body.get("auto_delete", False))

    def _address(self, name: str, family: str, place: str, auto_delete: bool) -> Thing:
        number = self.store.next + 1
        # Documentation addresses: RFC 5737, RFC 3849.
        ip = f"198.51.100.{number % 254 + 1}" if family == "ipv4" else f"2001:db8:{number:x}::/64"
        return self.store.add(
            "primary_ips", name=name, type=family, ip=ip, location=place, auto_delete=auto_delete, blocked=False, dns_ptr=[],
            assignee_id=None, assignee_type="server", protection={"delete": False},
        )  # fmt: skip

    def _new_volumes(self, name: str, body: Thing) -> Thing:
        server = self.store.find("servers", str(body.get("server") or ""))
        place = server["location"] if server else body["location"]
        volume = self.store.add(
            "volumes", name=name, size=body["size"], location=place, server=server["id"] if server else None,
            protection={"delete": False}, status="available", format=body.get("format"), linux_device="",
        )  # fmt: skip
        volume["linux_device"] = f"/dev/disk/by-id/scsi-0HC_Volume_{volume['id']}"
        return volume

    def _new_servers(self, name: str, body: Thing) -> Thing:
        kind = str(body["server_type"])
        kind = kind if kind in TYPES else next((each for each in TYPES if str(server_type(each)["id"]) == kind), "")
        image = self.store.find("images", str(body["image"]))
        if not kind or image is None:
            raise ApiError(422, "invalid_input", "invalid input in fields 'server_type', 'image'")
        if image["architecture"] != server_type(kind)["architecture"]:
            raise ApiError(422, "invalid_input", "image and server type have different architectures")
        place = body.get("location") or _place(body)
        server = self.store.add(
            "servers", name=name, status="running" if body.get("start_after_create", True) else "off", server_type=kind,
            image=image["id"], location=place, firewalls=[each["firewall"] for each in body.get("firewalls") or []],
            protection={"delete": False, "rebuild": False}, primary_disk_size=server_type(kind)["disk"],
            user_data=body.get("user_data") or "",
        )  # fmt: skip
        net = body.get("public_net") or {}
        for family in ("ipv4", "ipv6"):
            if net.get(f"enable_{family}", True):
                chosen = self.store.find("primary_ips", str(net.get(family) or ""))
                address = chosen or self._address(f"primary_ip-{server['id']}-{family}", family, place, True)
                if address["assignee_id"] is not None:
                    raise ApiError(422, "primary_ip_assigned", "primary IP is already assigned")
                address["assignee_id"] = server["id"]
        return server

    async def _delete(self, kind: str, thing: Thing) -> Any:
        if thing.get("protection", {}).get("delete"):
            raise ApiError(423, "protected", f"{_LISTED[kind]} deletion is protected")
        if kind == "volumes" and thing["server"] is not None:
            raise ApiError(423, "resource_in_use", "volume is attached to a server")
        if kind == "primary_ips" and thing["assignee_id"] is not None:
            raise ApiError(409, "resource_in_use", "primary IP is assigned")
        if kind == "firewalls" and any(thing["id"] in each["firewalls"] for each in self.store.things["servers"].values()):
            raise ApiError(409, "resource_in_use", "firewall is still in use")
        del self.store.things[kind][thing["id"]]
        if kind != "servers":
            return None
        for address in list(self.store.things["primary_ips"].values()):
            if address["assignee_id"] == thing["id"]:
                address["assignee_id"] = None
                if address["auto_delete"]:
                    del self.store.things["primary_ips"][address["id"]]
        for volume in self.store.things["volumes"].values():
            if volume["server"] == thing["id"]:
                volume["server"] = None
        await self.changed()
        return {"action": self._action("delete_server", kind, thing["id"])}

    async def _act(self, kind: str, thing: Thing, what: str, body: Thing) -> Any:
        handler = getattr(self, f"_do_{what}", None)
        if handler is None:
            raise ApiError(404, "not_found", f"{kind}: action {what}: not simulated")
        handler(thing, body)
        if kind == "servers":
            await self.changed()
        action = self._action(what, kind, thing["id"])
        return {"actions": [action]} if kind == "firewalls" else {"action": action}

    def _do_poweron(self, thing: Thing, _: Thing) -> None:
        thing["status"] = "running"

    def _do_poweroff(self, thing: Thing, _: Thing) -> None:
        thing["status"] = "off"

    _do_shutdown = _do_poweroff

    def _do_change_type(self, thing: Thing, body: Thing) -> None:
        if thing["status"] != "off":
            raise ApiError(423, "server_not_stopped", "server must be stopped")
        wanted = str(body["server_type"])
        thing["server_type"] = next(each for each in TYPES if wanted in (each, str(server_type(each)["id"])))

    def _do_change_protection(self, thing: Thing, body: Thing) -> None:
        thing["protection"].update({key: value for key, value in body.items() if value is not None})

    def _do_assign(self, thing: Thing, body: Thing) -> None:
        thing["assignee_id"] = body["assignee_id"]

    def _do_unassign(self, thing: Thing, _: Thing) -> None:
        thing["assignee_id"] = None

    def _do_attach(self, thing: Thing, body: Thing) -> None:
        thing["server"] = body["server"]

    def _do_detach(self, thing: Thing, _: Thing) -> None:
        thing["server"] = None

    def _do_resize(self, thing: Thing, body: Thing) -> None:
        if body["size"] < thing["size"]:
            raise ApiError(422, "invalid_input", "volumes can only grow")
        thing["size"] = body["size"]

    def _do_set_rules(self, thing: Thing, body: Thing) -> None:
        thing["rules"] = body["rules"]

    def _do_apply_to_resources(self, thing: Thing, body: Thing) -> None:
        for target in body["apply_to"]:
            self.store.things["servers"][target["server"]["id"]]["firewalls"].append(thing["id"])

    def _do_remove_from_resources(self, thing: Thing, body: Thing) -> None:
        for target in body["remove_from"]:
            firewalls = self.store.things["servers"][target["server"]["id"]]["firewalls"]
            firewalls[:] = [each for each in firewalls if each != thing["id"]]


def _page(kind: str, found: list[Thing]) -> Thing:
    page = {"page": 1, "per_page": 50, "previous_page": None, "next_page": None, "last_page": 1, "total_entries": len(found)}
    return {kind: found, "meta": {"pagination": page}}


def _place(body: Thing) -> str:
    return str(body.get("datacenter") or "fsn1").partition("-")[0]


def _fingerprint(key: str) -> str:
    import base64
    import hashlib

    text = hashlib.md5(base64.b64decode(key), usedforsecurity=False).hexdigest()
    return ":".join(text[at : at + 2] for at in range(0, len(text), 2))
