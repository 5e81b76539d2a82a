"""Data Lifecycle Manager, which moto has not: policies as they were written, kept in a file; no snapshot is made."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from aiohttp import web

from aether_sim.paths import write_atomic

_ACCOUNT = "123456789012"


class Policies:
    """Answers /policies and /tags as the service does."""

    def __init__(self, directory: Path, region: str) -> None:
        self.file, self.region = directory / "dlm.json", region

    def answer(self, method: str, path: str, query: str, body: bytes) -> web.Response:
        """One request; the path is what follows the host."""
        sent = json.loads(body) if body else {}
        kept: dict[str, dict[str, Any]] = json.loads(self.file.read_text()) if self.file.exists() else {}
        words = [unquote(word) for word in path.strip("/").split("/", 1)]
        if words[0] == "tags":
            return self._tags(method, words[1], query, sent, kept)
        if method == "POST":
            identifier = f"policy-{len(kept) + 1:017x}"
            arn = f"arn:aws:dlm:{self.region}:{_ACCOUNT}:policy/{identifier}"
            kept[identifier] = {**sent, "Tags": sent.get("Tags", {}), "PolicyId": identifier, "PolicyArn": arn}
            self._write(kept)
            return _json({"PolicyId": identifier})
        if len(words) < 2 or words[1] not in kept:
            return _json({"Message": "no such policy", "Code": "ResourceNotFoundException"}, HTTPStatus.NOT_FOUND)
        if method == "GET":
            return _json({"Policy": kept[words[1]]})
        if method == "PATCH":
            kept[words[1]] |= sent
        else:
            del kept[words[1]]
        self._write(kept)
        return _json({})

    def _tags(self, method: str, arn: str, query: str, sent: dict[str, Any], kept: dict[str, dict[str, Any]]) -> web.Response:
        found = re.search(r"policy/(\S+)$", arn)
        policy = kept.get(found[1] if found else "")
        if policy is None:
            return _json({"Message": "no such policy", "Code": "ResourceNotFoundException"}, HTTPStatus.NOT_FOUND)
        if method == "POST":
            policy["Tags"] |= sent["Tags"]
        elif method == "DELETE":
            for key in parse_qs(query).get("tagKeys", []):
                policy["Tags"].pop(key, None)
        self._write(kept)
        return _json({"Tags": policy["Tags"]})

    def _write(self, kept: dict[str, dict[str, Any]]) -> None:
        write_atomic(self.file, json.dumps(kept, indent=1).encode())


def _json(document: dict[str, Any], status: int = HTTPStatus.OK) -> web.Response:
    headers = {"x-amzn-ErrorType": document["Code"]} if "Code" in document else {}
    return web.json_response(document, status=status, headers=headers)
