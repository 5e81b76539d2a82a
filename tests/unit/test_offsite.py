"""`aether offsite`: which copies stay, and that a copy that broke off is none."""

import subprocess
from pathlib import Path

import pytest

from inventory.load import load
from ops import offsite
from ops.offsite import _copies, _copy, _every
from ops.restore.node import Backup
from ops.stack import OpsError, Stack

INVENTORY = load(Path("inventory/homelab.toml"))
BACKUP = Backup("local:backup/vzdump-qemu-110-2026_11_29-02_30_05.vma.zst", "niobe", 1, 6)


def test_the_newest_copies_of_one_guest_stay(tmp_path: Path) -> None:
    for name in ("qemu-10-2026_01_02-00_00_00", "lxc-10-2026_01_03-00_00_00", "qemu-110-2026_01_09-00_00_00"):
        (tmp_path / f"vzdump-{name}.vma.zst.age").touch()
    assert [path.name[7:27] for path in _copies(tmp_path, 10)] == ["lxc-10-2026_01_03-00", "qemu-10-2026_01_02-0"]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An `ssh` that sends six bytes, and an `age` that takes them as they are."""
    (tmp_path / "ssh").write_text("#!/bin/sh\nprintf secret\n")
    (tmp_path / "age").write_text("#!/bin/sh\nexec cat\n")
    for name in ("ssh", "age"):
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "drive").mkdir()
    return tmp_path


def copy(programs: Path, backup: Backup = BACKUP) -> bool:
    return _copy(Stack("homelab"), INVENTORY, str(programs / "age"), programs / "drive", "web", backup)


def test_a_copy_is_whole_and_not_made_twice(programs: Path) -> None:
    assert copy(programs) is True
    (made,) = (programs / "drive/niobe").iterdir()
    assert (made.name, made.read_text()) == ("vzdump-qemu-110-2026_11_29-02_30_05.vma.zst.age", "secret")
    assert copy(programs) is False


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"ssh": "#!/bin/sh\nprintf sec\n"}, "3 B came of 6 B"),
        ({"ssh": "#!/bin/sh\nprintf secret\nexit 255\n"}, "could not send it"),
        ({"age": "#!/bin/sh\nexit 1\n"}, "could not send it, or it could not be written"),
    ],
)
def test_what_broke_off_is_none(programs: Path, broken: dict[str, str], said: str) -> None:
    for name, text in broken.items():
        (programs / name).write_text(text)
    with pytest.raises(OpsError, match=said):
        copy(programs)
    assert list((programs / "drive/niobe").iterdir()) == []


def test_what_a_backup_server_has_is_its_own_to_copy(programs: Path) -> None:
    with pytest.raises(OpsError, match="sync job"):
        copy(programs, Backup("pbs:backup/vm/110/2026-11-29T02:30:05Z", "niobe", 1, 6))


def test_one_that_fails_keeps_no_other_from_being_copied(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = Backup("pbs:backup/vm/1/2026", "niobe", 1, 6)
    found = {"monitoring": bad, "iot": BACKUP}
    by_vmid = {INVENTORY.guests()[name].vmid: backup for name, backup in found.items()}
    monkeypatch.setattr(offsite, "newest", lambda nodes, vmid, near: by_vmid.get(vmid))
    nodes = dict.fromkeys(INVENTORY.nodes)
    code = _every(Stack("homelab"), INVENTORY, nodes, str(programs / "age"), programs / "drive", list(found), 2)  # type: ignore[arg-type]
    assert code == 1 and len(list((programs / "drive/niobe").iterdir())) == 1


def test_nothing_is_begun_with_a_slip(tmp_path: Path) -> None:
    with pytest.raises(OpsError, match="did you mean 'iot'"):
        offsite.offsite(Stack("homelab"), [str(tmp_path), "iott"])
    with pytest.raises(OpsError, match="mkdir -p"):
        offsite.offsite(Stack("homelab"), [str(tmp_path / "none")])
    assert subprocess.run(["ls", tmp_path], capture_output=True, check=True).stdout == b""
