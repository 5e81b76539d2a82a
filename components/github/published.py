"""Waits for the workflow run of a commit, and prints the verified digests of the images that it published.

Environment: AETHER_GITHUB_URL, AETHER_GITHUB_TOKEN, AETHER_REPOSITORY (OWNER/NAME), AETHER_BRANCH, AETHER_COMMIT,
AETHER_WORKFLOW (its file's name), AETHER_TIMEOUT (seconds), AETHER_REGISTRY (registry/owner), AETHER_IMAGES (names),
AETHER_PUBLIC_KEY (file), and PULUMI_COMMAND_STDOUT, the last answer.
Standard output: JSON of `images` and `unreadable` (components/registry/lookup.py). Needs crane and cosign.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from components.github.api import Api, Failed
from components.registry.lookup import Answer, RegistryError, look_up

_LINES = 15
# Seconds until a run that does not come by itself is started by hand.
_APPEAR = 60.0


def wait(api: Api, commit: str, workflow: str, branch: str, timeout: float, appear: float, say: Callable[[str], None]) -> str:
    """Wait until the newest run of WORKFLOW for COMMIT ends well; its page.

    A commit without a run after APPEAR seconds gets one. A run that had failed before this call is started again, once.

    Raises:
        Failed: with the failed job's last lines, or because TIMEOUT (seconds) is over.
    """
    started = time.monotonic()
    shown, asked, again, seen, pause = "", False, False, False, 1.0
    while True:
        run = _newest(api, commit, workflow)
        waited = time.monotonic() - started
        if run is None:
            if waited > appear and not asked:
                say(f"{api.repository}: no run for {commit[:12]} yet: starts one")
                api.send("POST", f"actions/workflows/{workflow}/dispatches", {"ref": branch})
                asked = True
        elif run["status"] == "completed":
            if run["conclusion"] == "success":
                say(f"{run['html_url']}: ended well")
                return str(run["html_url"])
            if seen or again or run["conclusion"] not in ("failure", "timed_out", "cancelled"):
                raise Failed(_why(api, run))
            say(f"{run['html_url']}: had ended with {run['conclusion']}: starts its failed jobs again")
            api.send("POST", f"actions/runs/{run['id']}/rerun-failed-jobs")
            again = True
        else:
            seen = True
            now = _progress(api, run)
            if now != shown:
                say(f"{run['html_url']}: {now} ({waited:.0f} s)")
                shown = now
        if waited > timeout:
            page = run["html_url"] if run else f"{api.repository}: no run for {commit[:12]}"
            raise Failed(
                f"{page}: not done after {timeout:.0f} s; it goes on there. Fix: run this again when it is done, "
                "or raise aether:imageTimeout"
            )
        time.sleep(pause)
        pause = min(pause * 1.5, 15)


def _newest(api: Api, commit: str, workflow: str) -> dict[str, Any] | None:
    runs = api.get("actions/runs", head_sha=commit)["workflow_runs"]
    return next((run for run in runs if str(run["path"]).partition("@")[0].endswith(f"/{workflow}")), None)


def _jobs(api: Api, run: dict[str, Any]) -> list[dict[str, Any]]:
    return list(api.get(f"actions/runs/{run['id']}/jobs")["jobs"])


def _progress(api: Api, run: dict[str, Any]) -> str:
    jobs = _jobs(api, run)
    running = [job["name"] for job in jobs if job["status"] == "in_progress"]
    done = sum(job["status"] == "completed" for job in jobs)
    what = ", ".join(running) or str(run["status"]).replace("_", " ")
    return f"{what}; {done} of {len(jobs)} jobs done" if jobs else what


def _why(api: Api, run: dict[str, Any]) -> str:
    lines = [f"{run['html_url']}: ended with {run['conclusion']}"]
    for job in _jobs(api, run):
        if job["conclusion"] in ("failure", "timed_out"):
            log = [line for line in api.log(job["id"]).splitlines() if line.strip()]
            lines += [f"  job {job['name']}:", *(f"    {line}" for line in log[-_LINES:])]
    lines.append("Fix: mend what the log says, or start the failed jobs again by running this once more; hosts stay as they are")
    return "\n".join(lines)


def main() -> int:
    value = os.environ.__getitem__
    try:
        wait(
            Api.from_environment(),
            value("AETHER_COMMIT"),
            value("AETHER_WORKFLOW"),
            value("AETHER_BRANCH"),
            float(value("AETHER_TIMEOUT")),
            _APPEAR,
            lambda text: print(text, file=sys.stderr, flush=True),
        )
        images = value("AETHER_IMAGES").split()
        answer = look_up(value("AETHER_REGISTRY"), images, value("AETHER_PUBLIC_KEY"))
    except (Failed, RegistryError) as error:
        print(error, file=sys.stderr)
        return 1
    # What was known of an image that cannot be read now stays what its hosts run.
    before = Answer.model_validate_json(os.environ.get("PULUMI_COMMAND_STDOUT") or "{}").images
    kept = {image: reference for image, reference in before.items() if image in images}
    print(json.dumps({"images": {**kept, **answer.images}, "unreadable": answer.unreadable}, sort_keys=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
