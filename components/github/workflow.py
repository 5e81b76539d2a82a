"""What the repository's workflows use, read from the workflows themselves, so that nothing has to be listed twice."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

WORKFLOWS = ".github/workflows/"
# Allowed as a whole by "actions created by GitHub".
_GITHUB_OWNED = ("actions/", "github/")


def used_actions(files: Mapping[str, str]) -> tuple[str, ...]:
    """Patterns, like ``blue-build/github-action@*``, of every action that FILES' workflows use and GitHub does not own."""
    names = {step["uses"].split("@")[0] for _, step in _steps(files) if "uses" in step}
    return tuple(sorted(f"{name}@*" for name in names if not name.startswith((*_GITHUB_OWNED, "./"))))


def required_checks(files: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the checks that a pull request must pass: jobs that run on it, one a matrix entry."""
    checks: list[str] = []
    for workflow in _workflows(files):
        # YAML 1.1 reads the key `on` as true.
        if "pull_request" not in (workflow.get("on") or workflow.get(True) or {}):
            continue
        for name, job in workflow["jobs"].items():
            if "if" in job:
                continue
            title = str(job.get("name", name))
            matrix = job.get("strategy", {}).get("matrix", {})
            entries = next(iter(matrix.items()), None)
            checks += [title.replace(f"${{{{ matrix.{entries[0]} }}}}", value) for value in entries[1]] if entries else [title]
    return tuple(checks)


def ignored_paths(files: Mapping[str, str]) -> tuple[str, ...]:
    """Patterns of paths whose change alone starts none of FILES' workflows."""
    pushes = [(workflow.get("on") or workflow.get(True) or {}).get("push") or {} for workflow in _workflows(files)]
    found = [set(push.get("paths-ignore", ())) for push in pushes]
    return tuple(sorted(set.intersection(*found))) if found else ()


def _workflows(files: Mapping[str, str]) -> Iterator[dict[Any, Any]]:
    for path, text in files.items():
        if path.startswith(WORKFLOWS):
            yield yaml.safe_load(text)


def _steps(files: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for workflow in _workflows(files):
        for name, job in workflow["jobs"].items():
            for step in job.get("steps", []):
                yield name, step
