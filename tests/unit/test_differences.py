"""What a redeployment changes inside a system: units, read from two closures."""

from pathlib import Path

from ops.differences import unit_changes


def system(folder: Path, units: dict[str, str]) -> Path:
    """A closure with UNITS, each wanted by a target."""
    place = folder / "etc/systemd/system"
    (place / "multi-user.target.wants").mkdir(parents=True)
    for name, text in units.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
        if "/" not in name:
            (place / "multi-user.target.wants" / name).symlink_to(f"../{name}")
    return folder


def test_units_are_new_gone_or_changed(tmp_path: Path) -> None:
    before = system(tmp_path / "before", {"a.service": "a", "b.service": "b", "c.service": "c"})
    after = system(tmp_path / "after", {"b.service": "b", "c.service": "another", "d.timer": "d", "b.service.d/x.conf": "x"})
    assert unit_changes(before, after) == ["- a.service", "+ b.service.d/x.conf", "~ c.service", "+ d.timer"]


def test_a_system_that_is_not_here_differs_in_nothing_that_could_be_said(tmp_path: Path) -> None:
    assert unit_changes(tmp_path / "one", tmp_path / "other") == []


def test_units_are_followed_to_where_the_store_has_them(tmp_path: Path) -> None:
    """In a NixOS closure `etc/systemd/system` and each unit are links to other store paths."""
    store = system(tmp_path / "store", {"a.service": "a"}) / "etc/systemd/system"
    (tmp_path / "nixos/etc/systemd").mkdir(parents=True)
    (tmp_path / "nixos/etc/systemd/system").symlink_to(store)
    assert unit_changes(tmp_path / "none", tmp_path / "nixos") == ["+ a.service"]
