"""Under ``pipefail`` no reader leaves a pipe before its end: its writer ends by SIGPIPE, and a true condition is false."""

import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
# Readers that stop at what they look for: grep -q and -m, head, sed's q, awk's exit.
LEAVES = re.compile(
    r"\|\s*(?:grep\s+(?:-\S+\s+)*(?:-[a-zA-Z]*[qm]|--quiet|--max-count)|head\b(?! -n \"?-)"
    r"|sed\s[^|]*['\"\d;]q\b|awk\b[^|]*\bexit\b)"
)
_FIRST = "nix/modules/features/boot-menu/first.sh"
ALLOWED = {
    # Its status is nobody's: what it counted is compared, and it may leave gigabytes unread.
    ("nix/modules/data-disk.sh", "| head -c 1 | wc -c"),
    # What writes into them has a few lines, and writes them in one piece at its end.
    (_FIRST, "| head -n 1; }"),
    (_FIRST, '<<<"$entries" | grep -qi'),
    (_FIRST, '"$partition" | head -n 1)'),
}


def scripts() -> list[Path]:
    """Shell files that run under pipefail: those that set it, and those that are run behind one that does (they have no say)."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    return [REPOSITORY / name for name in listed.splitlines() if name.endswith(".sh") and _pipefail(REPOSITORY / name)]


def _pipefail(file: Path) -> bool:
    text = file.read_text() if file.is_file() else ""
    alone = text.startswith("#!") and "\nsource " not in text and "host.sh" not in text
    return bool(text) and ("pipefail" in text or not alone)


def early_leavers(text: str) -> list[str]:
    """Lines of TEXT whose pipe has a reader that may leave early."""
    return [line.strip() for line in text.splitlines() if LEAVES.search(line) and not line.lstrip().startswith("#")]


@pytest.mark.parametrize(
    "line",
    [
        'pct status "$vmid" | grep -q running || exit 0',
        "ip route | grep -wqF x",
        "amtool | grep --quiet Watchdog",
        "ip route | sed -n 's/x/y/p' | head -n 1",
        "ssh -G web | awk '$1 == \"hostname\" { print $2; exit }'",
        "pvesm status | sed -n '2{p;q}'",
    ],
)
def test_a_reader_that_leaves_early_is_found(line: str) -> None:
    assert early_leavers(line)


@pytest.mark.parametrize(
    "line",
    [
        'grep -q x "$file"',
        'grep -q x <<<"$text"',
        "qm list | grep -w x >/dev/null",
        "ls | sed -n 1p",
        'find . | sort | head -n "-$keep"',
        "# pct status | grep -q running",
    ],
)
def test_one_that_reads_to_the_end_is_not(line: str) -> None:
    assert not early_leavers(line)


def test_no_script_has_one() -> None:
    found = [(str(file.relative_to(REPOSITORY)), line) for file in scripts() for line in early_leavers(file.read_text())]
    wrong = [f"{name}: {line}" for name, line in found if not any(name == n and part in line for n, part in ALLOWED)]
    assert not wrong, "\n".join(wrong)


def test_what_is_allowed_is_there() -> None:
    assert not [name for name, part in ALLOWED if part not in (REPOSITORY / name).read_text()]
