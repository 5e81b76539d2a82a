"""Each recipe through a real builder (buildah), as far as no base image is needed: order, mounts, scripts, units.

The Containerfile has the statements of BlueBuild 0.9.40's template, which its own tool is asked for elsewhere
(tests/system/test_image_bluebuild.py); modules are fakes (module.sh), the base a small root of Debian's programs with the
units of units.toml. What a recipe gets wrong about stages, files, scripts and units ends the build here as it would there.
"""

import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.atomic.recipes import KERNEL, UNITS, modules, recipe
from tests.atomic.sysroot import HERE, IMAGE, may, programs

RECIPES = sorted((IMAGE / "recipes").glob("*.yml"))
# What the driver's image has, and rpm of the base: nvidia.sh asks both.
DRIVER = {"rpms/ublue-os/nvidia-install.sh": "mkdir -p /etc/nvidia\n", f"rpms/kmods/kmod-nvidia-{KERNEL}-610.rpm": ""}
BASE = f"""\
FROM scratch
COPY / /
RUN ["/usr/bin/bash", "-c", "ln -sf bash /usr/bin/sh; mkdir -p /tmp /var /usr/share/aether /usr/lib/systemd/user"]
RUN printf '#!/bin/sh\\necho {KERNEL}\\n' >/usr/bin/rpm; chmod 0755 /usr/bin/rpm
"""
# Not for what is looked at here.
IGNORED = "usr/share/*\nusr/lib/grub\nusr/lib/x86_64-linux-gnu/perl*\nvar/*\n"


def containerfile(recipe: dict[str, Any]) -> str:
    """As BlueBuild's template writes it, with names of images that are here."""
    name = recipe["name"]
    lines = [f"FROM localhost/base AS {name}", "FROM scratch AS stage-files", "COPY ./files /files"]
    for stage in recipe.get("stages", []):
        lines.append(f"FROM {stage['from']} AS {stage['name']}")
        lines += [statement(module) for module in stage["modules"]]
    lines += [
        "FROM scratch AS stage-keys",
        f"COPY cosign.pub /keys/{name}.pub",
        f"FROM {name}",
        'ARG CONFIG_DIRECTORY="/tmp/files"',
    ]
    keys = "--mount=type=bind,from=stage-keys,src=/keys,dst=/tmp/keys"
    lines.append(f"RUN {keys} mkdir -p /etc/pki/containers/ && cp /tmp/keys/* /etc/pki/containers/")
    return "\n".join([*lines, *(statement(module) for module in modules(recipe))]) + "\n"


def statement(module: dict[str, Any]) -> str:
    if module["type"] == "copy":
        # An image, or a stage of the recipe's own.
        source = "localhost/driver" if "/" in module["from"] else module["from"]
        return f"COPY --from={source} {module['src']} {module['dest']}"
    files = "--mount=type=bind,from=stage-files,src=/files,dst=/tmp/files,rw"
    scripts = "--mount=type=bind,from=localhost/modules,src=/modules,dst=/tmp/modules,rw"
    names = "--mount=type=bind,from=localhost/modules,src=/names,dst=/names"
    return f"RUN {files} {scripts} {names} /tmp/modules/module.sh '{module['type'].split('@')[0]}' '{json.dumps(module)}'"


class Build:
    """What a build said, and what it made; None where it failed."""

    def __init__(self, out: Path, name: str) -> None:
        made = out / f"{name}.tar"
        self.words = (out / f"{name}.log").read_text()
        self.tar = tarfile.open(made) if made.exists() else None  # noqa: SIM115

    def mode(self, path: str) -> int:
        assert self.tar is not None, self.words
        return self.tar.getmember(path).mode

    def names(self) -> set[str]:
        assert self.tar is not None, self.words
        return set(self.tar.getnames())


def build(work: Path, recipes: dict[str, dict[str, Any]]) -> dict[str, Build]:
    """Builds RECIPES, each for itself."""
    for folder in ("memory", "out", "base", "images/modules/modules", "images/modules/names", "images/driver", "context"):
        (work / folder).mkdir(parents=True)
    base = "".join(
        f"RUN printf '[Unit]\\nDescription=x\\n[Install]\\nWantedBy=default.target\\n' >/usr/lib/systemd/system/{unit}\n"
        for unit in UNITS["base"]
    )
    (work / "base/Containerfile").write_text(BASE + base)
    (work / "base/ignore").write_text(IGNORED)
    shutil.copy(HERE / "module.sh", work / "images/modules/modules")
    names = "".join(f"{unit} {package}\n" for unit, package in UNITS["recipes"].items())
    (work / "images/modules/names/units").write_text(names)
    (work / "images/modules/Containerfile").write_text("FROM scratch\nCOPY modules /modules\nCOPY names /names\n")
    for path, text in DRIVER.items():
        (work / "images/driver" / path).parent.mkdir(parents=True, exist_ok=True)
        (work / "images/driver" / path).write_text(text)
    (work / "images/driver/Containerfile").write_text("FROM scratch\nCOPY rpms /rpms\n")
    shutil.copytree(IMAGE / "files", work / "context/files")
    shutil.copy(IMAGE / "cosign.pub", work / "context")
    # Made from the inventory when the repository is synchronised.
    for path in ("etc/containers/policy.json", "etc/containers/registries.d/aether.yaml", "etc/pki/containers/aether.pub"):
        made = work / "context/files/system" / path
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_text("{}\n")
    for name, one in recipes.items():
        (work / "recipes" / name).mkdir(parents=True)
        (work / "recipes" / name / "Containerfile").write_text(containerfile(one))
    builder = programs().parent / "builder/root"
    command = ["unshare", "--mount", "--net", str(HERE / "build.sh"), str(builder), str(programs() / "root"), str(work)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: Build(work / "out", name) for name in recipes}


def spoilt(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """The plain recipe with its modules in place, and with a fault."""
    found = recipe("aether-kinoite")
    found["modules"] = modules(found)
    change(found)
    return found


def absent_unit(found: dict[str, Any]) -> None:
    (units,) = (module for module in found["modules"] if module["type"] == "systemd")
    # Of the greenboot before greenboot-rs. One that is switched off and absent is only told of by some releases of systemctl.
    units["system"]["enabled"].append("greenboot-grub2-set-counter.service")


def stage_without_a_shell(found: dict[str, Any]) -> None:
    found["stages"] = [{"name": "driver", "from": "scratch", "modules": [{"type": "script", "scripts": ["nvidia.sh"]}]}]
    # What nothing is copied from is not built.
    found["modules"].append({"type": "copy", "from": "driver", "src": "/rpms", "dest": "/tmp/rpms"})


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Build]:
    if why := may():
        pytest.skip(why)
    if not (programs().parent / "builder/run").exists():
        pytest.skip("nix/tools/get-checkers.sh --atomic has brought no buildah")
    recipes = {path.stem: recipe(path.stem) for path in RECIPES}
    faults = {"absent-unit": spoilt(absent_unit), "stage-without-a-shell": spoilt(stage_without_a_shell)}
    return build(tmp_path_factory.mktemp("builds"), {**recipes, **faults})


@pytest.mark.long
@pytest.mark.parametrize("name", [path.stem for path in RECIPES])
def test_a_recipe_builds_to_its_end(builds: dict[str, Build], name: str) -> None:
    made = builds[name]
    assert {"nix", "usr/libexec/aether/boot-counting", f"etc/pki/containers/{name}.pub"} <= made.names()
    assert made.mode("usr/libexec/aether/boot-counting") & 0o777 == 0o755, "GitHub's interface has no executable bit"
    enabled = {Path(path).name for path in made.names() if path.startswith("etc/systemd/system/") and ".wants/" in path}
    assert {"nix.mount", "nix-daemon.socket", "aether-boot-counting.service", "greenboot-healthcheck.service"} <= enabled
    assert ("etc/nvidia" in made.names()) == name.endswith("-nvidia")


@pytest.mark.long
def test_a_unit_that_the_base_does_not_have_ends_the_build(builds: dict[str, Build]) -> None:
    assert builds["absent-unit"].tar is None
    assert "greenboot-grub2-set-counter.service" in builds["absent-unit"].words


@pytest.mark.long
def test_a_stage_of_files_alone_runs_nothing(builds: dict[str, Build]) -> None:
    assert builds["stage-without-a-shell"].tar is None
    assert "/bin/sh" in builds["stage-without-a-shell"].words


def test_every_unit_is_of_the_image_of_a_package_that_it_installs_or_of_its_base() -> None:
    own = {file.name for file in (IMAGE / "files/system/usr/lib/systemd/system").iterdir()}
    for path in RECIPES:
        found = modules(recipe(path.stem))
        installed = {name for module in found if module["type"] == "dnf" for name in module["install"]["packages"]}
        for module in (module for module in found if module["type"] == "systemd"):
            for unit in [*module["system"]["enabled"], *module["system"]["disabled"], *module["user"]["enabled"]]:
                known = unit in own | set(UNITS["base"]) or UNITS["recipes"].get(unit) in installed
                assert known, f"{path.name}: write into units.toml which package brings {unit}"
