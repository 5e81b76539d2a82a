"""What the image repository holds: the tree of ``image/`` and the files that are made from the inventory."""

from collections.abc import Mapping
from pathlib import Path

from components.github.trust import policy_files
from components.health.checks import check_lines
from inventory.models import AtomicHost

SYSTEM = "files/system"
CHECKS = "usr/share/aether/checks"
# Of the checkout, not of the image.
_NOT_SYNCED = {"cosign.pub"}


class ContentError(Exception):
    """``image/`` holds something that GitHub's contents API cannot take; one line a file."""


def repository_files(folder: Path, registry: str, public_key: str, hosts: Mapping[str, AtomicHost]) -> dict[str, str]:
    """Path to content of every file of the image repository, sorted by path.

    FOLDER is the tree that is copied as it is. REGISTRY (like ghcr.io/example) and PUBLIC_KEY go into the policy, HOSTS' health
    checks become greenboot's.

    Raises:
        ContentError: a file is not text, or one that is made from the inventory lies in FOLDER too.
    """
    files, problems = {}, []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or name in _NOT_SYNCED:
            continue
        try:
            files[name] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            problems.append(f"{folder.name}/{name}: is not text. Fix: fetch it while the image is built, in a recipe")
    made = {
        "cosign.pub": public_key,
        **{f"{SYSTEM}/{path}": text for path, text in policy_files(registry, public_key).items()},
        **{f"{SYSTEM}/{CHECKS}/{host}": check_lines(facts.health) for host, facts in hosts.items()},
    }
    for name in sorted(made.keys() & files.keys()):
        problems.append(f"{folder.name}/{name}: is made from the inventory. Fix: remove the file")
    if problems:
        raise ContentError("\n".join(problems))
    return dict(sorted((files | made).items()))
