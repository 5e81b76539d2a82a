"""The workflow's own questions to a built image (image/tests/image.sh), asked of a small one: it passes, and each fault is named.

Programs are real (rpm and its database, systemctl, jq, just, lsinitrd); packages are those that the recipe installs, built by
rpmbuild with the files and units that packages.toml and units.toml say they bring; files, policy and units are the image's own.
Fakes: what the packages hold, the kernel's initramfs (a cpio of names), `bootc container lint`.
"""

import os
import shlex
import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from components.github.trust import policy_files
from tests.atomic.recipes import KERNEL, UNITS, modules, recipe
from tests.atomic.sysroot import HERE, IMAGE, enabled, programs

BROUGHT = tomllib.loads((HERE / "packages.toml").read_text())
# A fault, and the only question that it spoils.
FAULTS = {
    "whole": ("true", ""),
    "no-podman": ("rpm --erase --justdb --nodeps podman", "podman is installed"),
    "no-waydroid": ("rpm --erase --nodeps waydroid", "waydroid is installed"),
    "unit-off": ("systemctl --root=/ disable virtqemud.socket", "virtqemud.socket is enabled"),
    "no-panel": ("sed -i /lxpanel/d /etc/xdg/openbox/autostart", "the session starts its panel"),
    "accepts-anything": (
        """cd /etc/containers && jq '.default[0].type = "insecureAcceptAnything"' policy.json >new && mv new policy.json""",
        "the policy rejects by default",
    ),
    "permissive": ("sed -i s/=enforcing/=permissive/ /etc/selinux/config", "SELinux enforces"),
    "nvidia": ("rpm --install --justdb --nodeps --nosignature /work/out/kmod-nvidia.rpm", "no NVIDIA driver in the plain image"),
    "no-type-cover": (
        "cd /initramfs && rm usr/lib/modules/pinctrl_tigerlake.ko && sh -e /work/pack.sh",
        f"pinctrl_tigerlake is in the initramfs of /usr/lib/modules/{KERNEL}/",
    ),
    "lint": ("rm /usr/bin/bootc", "bootc accepts the image"),
}


def packages() -> set[str]:
    """What the recipe installs, and what its base has."""
    found = {
        name for module in modules(recipe("aether-kinoite")) if module["type"] == "dnf" for name in module["install"]["packages"]
    }
    return found | set(BROUGHT["files"].values()) | set(UNITS["base"].values())


def spec() -> str:
    """A spec file of one source with a package for each name; nothing is built."""
    of = {f"/usr/lib/systemd/system/{unit}": package for unit, package in (UNITS["base"] | UNITS["recipes"]).items()}
    of |= BROUGHT["files"]
    names = sorted(packages() | set(of.values()))
    lines = [
        "Name: aether-test",
        "Version: 1",
        "Release: 1",
        "Summary: x",
        "License: MIT",
        "BuildArch: noarch",
        "%description",
        "x",
    ]
    for name in [*names, "kmod-nvidia"]:
        lines += [f"%package -n {name}", "Summary: x", f"%description -n {name}", "x"]
    lines.append("%install")
    for path in of:
        unit = "[Unit]\nDescription=x\n[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"
        text = BROUGHT["text"].get(path, unit if path.endswith((".service", ".socket", ".timer")) else "#!/bin/sh\n")
        mode = "0755" if path.startswith(("/usr/bin/", "/etc/X11/")) else "0644"
        lines.append(
            f"mkdir -p %{{buildroot}}{Path(path).parent}; printf %s {shlex.quote(text.replace('%', '%%'))} >%{{buildroot}}{path}"
        )
        lines.append(f"chmod {mode} %{{buildroot}}{path}")
    for name in [*names, "kmod-nvidia"]:
        lines += [f"%files -n {name}", *(path for path, package in of.items() if package == name)]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Answer:
    """What image.sh said of a root."""

    status: int
    words: str

    @property
    def failed(self) -> list[str]:
        return [line.removeprefix("FAILED: ") for line in self.words.splitlines() if line.startswith("FAILED: ")]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answer]:
    root = programs().parent / "image"
    if os.geteuid() != 0:
        pytest.skip("another root needs root")
    if not (root / "run").exists():
        pytest.skip("nix/tools/get-checkers.sh --atomic has brought no rpm")
    work = tmp_path_factory.mktemp("image")
    for folder in ("memory", "out", "cases"):
        (work / folder).mkdir()
    shutil.copytree(IMAGE / "tests", work / "tests")
    shutil.copytree(IMAGE / "files/system", work / "image")
    made = policy_files("ghcr.io/example", (IMAGE / "cosign.pub").read_text())
    just = "usr/share/bluebuild/justfiles/aether.just"
    for path, text in {**made, just: (IMAGE / "files/justfiles/aether.just").read_text()}.items():
        (work / "image" / path).parent.mkdir(parents=True, exist_ok=True)
        (work / "image" / path).write_text(text)
    (work / "packages.spec").write_text(spec())
    drivers = (IMAGE / "files/system/usr/lib/dracut/dracut.conf.d/50-surface.conf").read_text().split('"')[1].split()
    wanted = ["usr/lib/ostree/ostree-prepare-root", "etc/cmdline.d/20-force_drivers.conf"]
    wanted += [f"usr/lib/modules/{driver}.ko" for driver in drivers]
    (work / "pack.sh").write_text(f"cd /initramfs && find . | cpio --quiet -o -H newc >/usr/lib/modules/{KERNEL}/initramfs.img\n")
    (work / "make.sh").write_text(
        f"mkdir -p /nix /usr/lib/modules/{KERNEL} /initramfs\n"
        f"touch /usr/lib/modules/{KERNEL}/modules.builtin\n"
        + "".join(f"mkdir -p /initramfs/{Path(path).parent} && touch /initramfs/{path}\n" for path in wanted)
        + "sh -e /work/pack.sh\n"
        + """printf '#!/bin/sh\\n[ "$*" = "container lint" ]\\n' >/usr/bin/bootc && chmod +x /usr/bin/bootc\n"""
        + "".join(f"systemctl --root=/ enable {unit}\n" for unit in enabled())
    )
    for name, (command, _) in FAULTS.items():
        (work / "cases" / name).write_text(command + "\n")
    build = ["unshare", "--mount", str(HERE / "image_root.sh"), str(root / "root"), str(work)]
    done = subprocess.run(build, capture_output=True, text=True, check=False, timeout=300)
    log = work / "out/rpmbuild.log"
    assert done.returncode == 0, done.stdout + done.stderr + (log.read_text() if log.exists() else "")
    out = work / "out"
    return {name: Answer(int((out / f"{name}.status").read_text()), (out / f"{name}.log").read_text()) for name in FAULTS}


def test_an_image_of_the_recipe_holds_what_is_asked(answers: dict[str, Answer]) -> None:
    whole = answers["whole"]
    assert whole.status == 0 and not whole.failed, whole.words
    for name in ("podman", "toolbox", "distrobox", "qemu-kvm", "libvirt-daemon-driver-qemu", "cri-tools", "waydroid", "openbox"):
        assert f"ok: {name} is installed" in whole.words


@pytest.mark.parametrize("fault", [name for name in FAULTS if name != "whole"])
def test_a_fault_is_named_and_nothing_else(answers: dict[str, Answer], fault: str) -> None:
    assert answers[fault].failed == [FAULTS[fault][1]], answers[fault].words
    assert answers[fault].status == 1


def test_the_workflow_asks_it_of_what_it_built() -> None:
    workflow = yaml.safe_load((IMAGE / ".github/workflows/build.yml").read_text())
    steps = [step.get("run", "") for step in workflow["jobs"]["build"]["steps"]]
    built = next(i for i, step in enumerate(steps) if "podman tag" in step)
    asked = next(i for i, step in enumerate(steps) if "/tests/image.sh" in step)
    pushed = next(i for i, step in enumerate(steps) if "podman push" in step)
    assert built < asked < pushed
