"""Media and disks of Atomic hosts: what bootc-image-builder is given, and what a fake for podman is asked."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from inventory.files import REPOSITORY
from inventory.load import load
from inventory.models import AtomicHost
from ops.image import bootc, command
from ops.stack import OpsError

HOMELAB = load(REPOSITORY / "inventory/homelab.toml")
# Fields of osbuild's blueprint (github.com/osbuild/blueprint a79d26e) that are used. The builder refuses a file with others.
KNOWN = {
    "customizations": {"user", "filesystem", "installer"},
    "user": {"name", "groups", "key"},
    "filesystem": {"mountpoint", "minsize"},
    "installer": {"kickstart", "modules"},
    "kickstart": {"contents"},
    "modules": {"enable"},
}
PODMAN = """#!/bin/sh
printf '%s\\n' "$*" >>{log}
case "$1" in run) mkdir -p {made} && echo image >{made}/{name} ;; esac
exit {code}
"""


def host(name: str = "workstation") -> bootc.Atomic:
    found = bootc.atomic(name)
    assert found
    return found


def unknown(value: Any, within: str = "") -> set[str]:
    """Fields that the builder would refuse."""
    if isinstance(value, list):
        return {name for entry in value for name in unknown(entry, within)}
    if not isinstance(value, dict):
        return set()
    mine = set(value) - KNOWN.get(within, {"customizations"} if not within else set())
    return mine | {name for key, entry in value.items() for name in unknown(entry, key)}


@pytest.mark.parametrize("kind", bootc.TYPES)
@pytest.mark.parametrize("name", [name for name, facts in HOMELAB.hosts.items() if isinstance(facts, AtomicHost)])
def test_the_builder_knows_every_field(name: str, kind: str) -> None:
    assert unknown(bootc.configuration(host(name), kind)) == set()


def test_a_medium_answers_what_the_inventory_knows_and_asks_for_the_rest() -> None:
    made = bootc.configuration(host(), "iso")["customizations"]
    # With a kickstart the builder takes no users beside it.
    assert set(made) == {"installer"}
    lines = made["installer"]["kickstart"]["contents"].splitlines()
    site = HOMELAB.site
    assert f"network --bootproto=dhcp --activate --hostname=workstation.{site.domain}" in lines
    assert f"timezone {site.timezone} --utc" in lines and f"user --name={site.user} --groups=wheel" in lines
    assert [line for line in lines if line.startswith("sshkey")] == [
        f'sshkey --username={site.user} "{key}"' for key in site.authorized_keys
    ]
    # A disk is erased by nobody but who sits there; no password is in a file that anybody can copy.
    words = {line.split()[0] for line in lines if not line.startswith("#")}
    assert words == {"lang", "timezone", "network", "user", "sshkey", "reboot"}
    assert not any("password" in line for line in lines if not line.startswith("#"))


def test_a_disk_has_the_owner_and_his_keys_alone() -> None:
    (user,) = bootc.configuration(host(), "qcow")["customizations"]["user"]
    assert user == {"name": HOMELAB.site.user, "groups": ["wheel"], "key": "\n".join(HOMELAB.site.authorized_keys)}


@pytest.mark.parametrize(
    ("digest", "tag", "end"),
    [("sha256:" + "a" * 64, None, "@sha256:" + "a" * 64), (None, "stable", ":stable"), (None, None, ":latest")],
)
def test_it_installs_what_the_host_runs(digest: str | None, tag: str | None, end: str) -> None:
    found = host()
    facts = found.facts.model_copy(update={"digest": digest, "tag": tag})
    assert bootc.command(bootc.Atomic(found.name, facts, found.site), "iso", Path("/out"))[-1] == facts.image + end


def podman(folder: Path, monkeypatch: pytest.MonkeyPatch, made: Path, code: int = 0) -> Path:
    """A podman that leaves what the builder would leave at MADE; the log of its arguments."""
    programs, log = folder / "bin", folder / "log"
    programs.mkdir()
    program = programs / "podman"
    program.write_text(PODMAN.format(log=log, made=made.parent, name=made.name, code=code))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return log


@pytest.mark.parametrize(("kind", "type_", "ending"), [("iso", "anaconda-iso", "iso"), ("qcow", "qcow2", "qcow2")])
def test_where_podman_is_it_builds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], kind: str, type_: str, ending: str
) -> None:
    dist = tmp_path / "dist"
    work = dist / "bootc" / f"workstation-{kind}"
    log = podman(tmp_path, monkeypatch, work / bootc.TYPES[kind][1])
    assert command.image(["workstation", kind, "--dist", str(dist)]) == 0
    pulled, ran = log.read_text().splitlines()
    image = f"{host().facts.image}:latest"
    assert pulled == f"pull {image}"
    assert ran.startswith("run --rm --privileged") and ran.endswith(f"{bootc.BUILDER} --type={type_} --rootfs=btrfs {image}")
    assert f"--volume={work}/config.json:/config.json:ro" in ran and f"--volume={work}:/output" in ran
    assert (dist / "2_raw" / f"workstation.{ending}").read_text() == "image\n"
    assert json.loads((work / "config.json").read_text()) == bootc.configuration(host(), kind)
    assert f"Done: {dist}/2_raw/workstation.{ending}" in capfd.readouterr().out


def test_where_it_is_not_the_commands_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert command.image(["workstation", "iso", "--dist", str(tmp_path / "dist")]) == 0
    said = capfd.readouterr().out
    assert "Not built: podman is not here" in said and f"podman pull {host().facts.image}:latest" in said
    assert f"--type=anaconda-iso --rootfs=btrfs {host().facts.image}:latest" in said


def test_a_builder_that_fails_is_said_and_leaves_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dist = tmp_path / "dist"
    podman(tmp_path, monkeypatch, dist / "elsewhere/disk", code=3)
    with pytest.raises(OpsError, match="podman pull ended with 3"):
        command.image(["workstation", "iso", "--dist", str(dist)])
    assert not (dist / "2_raw/workstation.iso").exists()


def test_formats_of_other_hosts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OpsError, match=r"workstation is a Fedora Atomic host: it has no lxc\. Fix: one of iso, qcow"):
        command.image(["workstation", "lxc", "--dist", str(tmp_path)])
