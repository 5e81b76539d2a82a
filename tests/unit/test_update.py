"""`aether update`: what is newer, what is left alone and why, and that it writes that and nothing else."""

import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from moto import mock_aws

from components.registry.lookup import Unreadable
from inventory.load import load
from ops.cloud import NIXOS_OWNER
from ops.update import containers
from ops.update.containers import KERNEL, container_images
from ops.update.flake import flake_inputs
from ops.update.machine_images import machine_images
from ops.update.pins import Found, Newer, markdown
from ops.update.python_pins import python_pins, uv
from tests.unit.machine_images import publish

OLD, NEW, MODULES = (f"sha256:{letter * 64}" for letter in "abc")
BASE = "ghcr.io/ublue-os/kinoite-main"
AKMODS = "ghcr.io/ublue-os/akmods-nvidia-open"
RECIPE = f"name: one\nbase-image: {BASE}\n# pinned\nimage-version: latest@{OLD}\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two recipes on one base, one with modules for its kernel, and a container in a Nix file."""
    files = {
        "image/recipes/plain.yml": RECIPE,
        "image/recipes/nvidia.yml": f"{RECIPE}modules:\n  - from: {AKMODS}:main-44-7.0.14-201.fc44.x86_64@{OLD}\n",
        "nix/hosts/web.nix": f'{{ image = "docker.io/library/redis:8@{OLD}"; }}\n',
        "nix/hosts/plain.nix": "{ }\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for words in (["init", "-q"], ["add", "--all"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    (tmp_path / "nix/hosts/untracked.nix").write_text(f'"docker.io/library/redis:8@{OLD}"\n')
    return tmp_path


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Digest by reference, as registries have them; an image's kernel is 7.1."""
    known = {
        f"{BASE}:latest": NEW,
        f"{AKMODS}:main-44-7.1.0-1.fc44.x86_64": MODULES,
        "docker.io/library/redis:8": OLD,
    }

    def crane(verb: str, reference: str, name: str) -> str:
        if verb == "config":
            labels = {KERNEL: "7.1.0-1.fc44.x86_64"} if reference.startswith(BASE) else {}
            return json.dumps({"config": {"Labels": labels}})
        if reference not in known:
            raise Unreadable(f"{name}: was not published yet")
        return known[reference]

    monkeypatch.setattr(containers, "crane", crane)
    return known


@pytest.mark.usefixtures("registry")
def test_the_base_and_the_modules_for_its_kernel_move_together(repository: Path) -> None:
    found = container_images(repository, write=True)
    assert not found.left
    assert [(pin.what, pin.after) for pin in found.newer] == [
        (f"{AKMODS}:main-44-7.0.14-201.fc44.x86_64", f"main-44-7.1.0-1.fc44.x86_64 {'c' * 12}"),
        (f"{BASE}:latest", "b" * 12),
        (f"{BASE}:latest", "b" * 12),
    ]
    nvidia = (repository / "image/recipes/nvidia.yml").read_text()
    assert f"image-version: latest@{NEW}\n" in nvidia and f"{AKMODS}:main-44-7.1.0-1.fc44.x86_64@{MODULES}\n" in nvidia
    assert (repository / "image/recipes/plain.yml").read_text() == RECIPE.replace(OLD, NEW)


def test_a_base_without_modules_for_its_kernel_stays_in_every_recipe(repository: Path, registry: dict[str, str]) -> None:
    del registry[f"{AKMODS}:main-44-7.1.0-1.fc44.x86_64"]
    before = [path.read_text() for path in sorted(repository.glob("image/recipes/*"))]
    found = container_images(repository, write=True)
    assert not found.newer and [path.read_text() for path in sorted(repository.glob("image/recipes/*"))] == before
    assert found.left == [f"`image/recipes`: {AKMODS}:main-44-7.1.0-1.fc44.x86_64: was not published yet"]


def test_a_look_writes_nothing(repository: Path, registry: dict[str, str]) -> None:
    registry["docker.io/library/redis:8"] = NEW
    before = {path: path.read_bytes() for path in repository.rglob("*") if path.is_file() and ".git/" not in str(path)}
    found = container_images(repository, write=False)
    assert "nix/hosts/web.nix" in {pin.file for pin in found.newer}
    assert "nix/hosts/untracked.nix" not in {pin.file for pin in found.newer}
    assert {path: path.read_bytes() for path in before} == before


def test_this_repositorys_own_pins_are_found() -> None:
    pins = {
        pin.image for path in containers._files(Path()) for pin in containers._pins(path.read_text()) if "image/" in str(path)
    }
    assert pins == {BASE, AKMODS}


CLOUD = Path("inventory/cloud.toml")


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")


@pytest.mark.usefixtures("account")
@mock_aws
def test_official_images_of_machines_are_written_and_own_ones_left(tmp_path: Path) -> None:
    old = publish("nixos/25.11.1-aarch64-linux", "2026-01-01", "arm64", NIXOS_OWNER)
    latest = publish("nixos/25.11.2-aarch64-linux", "2026-02-01", "arm64", NIXOS_OWNER)
    own = publish("aether-vps", "2026-03-01", "arm64", "123456789012")
    path = tmp_path / "cloud.toml"
    texts = iter((old, own))
    text = CLOUD.read_text()
    for ami in ('ami = "ami-0b2000000000000b2"',) * 2:
        text = text.replace(ami, f'ami = "{next(texts)}"', 1)
    path.write_text(text)
    # Its image's hosts are named there.
    shutil.copy("inventory/homelab.toml", tmp_path)
    found = machine_images(load(path), write=True)
    assert [pin.what for pin in found.newer] == ["ami of vps"]
    assert found.newer[0].after.startswith(latest) and "the next `up` replaces it" in found.newer[0].note
    assert any("an image of your own" in reason for reason in found.left)
    assert any("public-gateway" in reason and "is not in eu-central-1" in reason for reason in found.left)
    name = "nixos/25.11.1056.d9bc5c7dceb3-aarch64-linux"
    assert path.read_text() == text.replace(old, latest).replace(name, "nixos/25.11.2-aarch64-linux", 1)


def test_without_nix_the_inputs_are_left_with_the_reason(tmp_path: Path) -> None:
    found = flake_inputs(tmp_path, "no-such-nix", write=True)
    assert found.left == ["`flake.lock`: no-such-nix is not installed here. Fix: run this where Nix is"]


def test_the_table_is_a_merge_requests() -> None:
    found = Found([Newer("nixpkgs", "2026-01-01 (aaaaaaa)", "2026-02-01 (bbbbbbb)", "flake.lock", "much")], ["`x`: is away"])
    assert markdown(found, written=True) == (
        "## Newer pins\n\n| what | from | to | where |\n|---|---|---|---|\n"
        "| `nixpkgs` | 2026-01-01 (aaaaaaa) | 2026-02-01 (bbbbbbb) | `flake.lock` |\n\n- **nixpkgs**: much\n\n"
        "Left as it is:\n- `x`: is away\n"
    )
    assert markdown(Found(), written=True) == "Every pin is the newest.\n"


def wheel(folder: Path, name: str, version: str) -> None:
    """A package without content, as an index has it."""
    meta = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{meta}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{meta}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{meta}/RECORD", "")


@pytest.mark.skipif(uv() is None, reason="uv is not here: make setup")
def test_python_packages_move_within_their_ranges(tmp_path: Path) -> None:
    """By the real uv, on an index of three wheels."""
    index, fleet = tmp_path / "index", tmp_path / "fleet"
    for folder in (index, fleet / "packages/own"):
        folder.mkdir(parents=True)
    (fleet / "pyproject.toml").write_text(
        '[project]\nname = "fleet"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["tool<2"]\n'
        f'[tool.uv]\npackage = false\nno-index = true\nfind-links = ["{index}"]\n[tool.uv.workspace]\nmembers = ["packages/*"]\n'
    )
    (fleet / "packages/own/pyproject.toml").write_text('[project]\nname = "own"\nversion = "1"\n[tool.uv]\npackage = false\n')
    program = uv()
    assert program is not None
    environment = {**os.environ, "VIRTUAL_ENV": ""}
    wheel(index, "tool", "1.0")
    subprocess.run([program, "lock"], cwd=fleet, env=environment, check=True, capture_output=True)
    lock = (fleet / "uv.lock").read_text()
    assert python_pins(fleet, program, environment, write=True) == Found()
    wheel(index, "tool", "1.5")
    wheel(index, "tool", "2.0")
    found = python_pins(fleet, program, environment, write=False)
    assert found == Found([Newer("tool", "1.0", "1.5", "uv.lock")])
    assert (fleet / "uv.lock").read_text() == lock
    python_pins(fleet, program, environment, write=True)
    assert 'version = "1.5"' in (fleet / "uv.lock").read_text()
    (fleet / "pyproject.toml").write_text("[project]\n")
    assert "uv could not look for newer packages" in python_pins(fleet, program, environment, write=True).left[0]
    assert "make setup" in python_pins(fleet, None, environment, write=True).left[0]
