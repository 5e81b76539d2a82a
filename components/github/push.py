"""Makes the main branch of the image repository hold the files on standard input, in one commit; none where it does already.

Files that an earlier run pushed and that are wanted no more are removed. What others put there stays.
Standard input: JSON of path to content. Environment: AETHER_GITHUB_URL, AETHER_GITHUB_TOKEN, AETHER_REPOSITORY (OWNER/NAME),
AETHER_BRANCH, AETHER_IGNORED (patterns of paths that the workflow does not build for), PULUMI_COMMAND_STDOUT (the last answer).
Standard output: JSON of `commit` (the branch's), `built` (the last one that the workflow runs for), `files`.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from fnmatch import fnmatch
from typing import Any

from components.github.api import Api, Failed, status_of

_ATTEMPTS = 5
_AUTHOR = {"name": "Aether", "email": "aether@users.noreply.github.com"}


def push(api: Api, branch: str, files: dict[str, str], before: dict[str, Any], ignored: list[str]) -> dict[str, Any]:
    """One commit that brings BRANCH to FILES; BEFORE is what the last push answered.

    Raises:
        Failed: GitHub refuses it.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        head = str(api.get(f"git/ref/heads/{branch}")["object"]["sha"])
        base = str(api.get(f"git/commits/{head}")["tree"]["sha"])
        there = {
            item["path"]: item["sha"] for item in api.get(f"git/trees/{base}", recursive="1")["tree"] if item["type"] == "blob"
        }
        changed = [path for path in files if there.get(path) != blob_id(files[path])]
        gone = [path for path in before.get("files", []) if path in there and path not in files]
        if not changed and not gone:
            return _answer(head, str(before.get("built") or head), files)
        tree: list[dict[str, Any]] = [
            {"path": path, "mode": "100644", "type": "blob", "content": files[path]} for path in changed
        ]
        tree += [{"path": path, "mode": "100644", "type": "blob", "sha": None} for path in gone]
        made = api.send("POST", "git/trees", {"base_tree": base, "tree": tree})
        message = {"message": _message(changed, gone), "tree": made["sha"], "parents": [head], "author": _AUTHOR}
        commit = str(api.send("POST", "git/commits", message)["sha"])
        try:
            api.send("PATCH", f"git/refs/heads/{branch}", {"sha": commit, "force": False})
        except Failed as error:
            # Somebody else pushed meanwhile.
            if status_of(error) != 422 or attempt == _ATTEMPTS:
                raise
            continue
        builds = any(not any(fnmatch(path, pattern) for pattern in ignored) for path in (*changed, *gone))
        print(f"{api.repository}: pushed {commit[:12]}: {_message(changed, gone)}", file=sys.stderr, flush=True)
        return _answer(commit, commit if builds else str(before.get("built") or commit), files)
    raise AssertionError("unreachable")


def blob_id(content: str) -> str:
    """git's id of a file with this content."""
    data = content.encode()
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data, usedforsecurity=False).hexdigest()


def _message(changed: list[str], gone: list[str]) -> str:
    paths = [*changed, *gone]
    return f"Sync {paths[0]}" if len(paths) == 1 else f"Sync {len(paths)} files"


def _answer(commit: str, built: str, files: dict[str, str]) -> dict[str, Any]:
    return {"commit": commit, "built": built, "files": sorted(files)}


def main() -> int:
    before = json.loads(os.environ.get("PULUMI_COMMAND_STDOUT") or "{}")
    try:
        answer = push(
            Api.from_environment(),
            os.environ["AETHER_BRANCH"],
            json.load(sys.stdin),
            before,
            os.environ.get("AETHER_IGNORED", "").split(),
        )
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
