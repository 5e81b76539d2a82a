"""image/: what its recipes, workflow and scripts must hold, without building anything."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

IMAGE = Path(__file__).resolve().parents[2] / "image"
RECIPES = sorted((IMAGE / "recipes").glob("*.yml"))
SCRIPTS = sorted(path for path in IMAGE.rglob("*") if path.is_file() and path.read_bytes().startswith(b"#!/usr/bin/env bash"))


def modules(path: Path) -> list[dict[str, Any]]:
    """Every module of a recipe, those of other files in their place."""
    found: list[dict[str, Any]] = []
    for module in yaml.safe_load(path.read_text())["modules"]:
        found += modules(IMAGE / "recipes" / module["from-file"]) if "from-file" in module else [module]
    return found


def packages(path: Path) -> set[str]:
    return {name for module in modules(path) if module["type"] == "dnf" for name in module.get("install", {}).get("packages", [])}


def test_there_is_a_recipe_for_each_image_of_the_inventory() -> None:
    from inventory.load import load

    image = load(IMAGE.parent / "inventory/cloud.toml").image
    assert image is not None
    assert {yaml.safe_load(path.read_text())["name"] for path in RECIPES} == set(image.images)
    assert {path.stem for path in RECIPES} == set(image.images), "a recipe is called what its image is called"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_bases_and_stages_are_pinned_by_digest(path: Path) -> None:
    recipe = yaml.safe_load(path.read_text())
    copied = [str(module["from"]) for module in recipe["modules"] if module.get("type") == "copy"]
    references = [str(recipe["image-version"]), *copied]
    assert "stages" not in recipe, "a stage that starts from an image of files alone has no shell to run anything in"
    for reference in references:
        assert re.search(r"@sha256:[0-9a-f]{64}$", reference), reference


def test_both_images_stand_on_one_base() -> None:
    bases = {(recipe["base-image"], recipe["image-version"]) for recipe in (yaml.safe_load(path.read_text()) for path in RECIPES)}
    assert len(bases) == 1


def test_the_variants_share_everything_but_the_driver() -> None:
    plain, nvidia = (modules(IMAGE / "recipes" / f"{name}.yml") for name in ("aether-kinoite", "aether-kinoite-nvidia"))
    driver, script = (module for module in nvidia if module not in plain)
    assert (driver["type"], driver["src"], driver["dest"]) == ("copy", "/rpms", "/tmp/akmods-rpms")
    assert driver["from"].startswith("ghcr.io/ublue-os/akmods-nvidia-open:")
    assert script == {"type": "script", "scripts": ["nvidia.sh"]}
    assert all(module in nvidia for module in plain)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_image_has_what_the_stack_needs(path: Path) -> None:
    assert {"greenboot", "podman", "toolbox", "distrobox", "qemu-kvm", "chezmoi", "stow", "syncthing"} <= packages(path)
    assert {"cri-tools", "waydroid"} <= packages(path)
    kinds = {module["type"] for module in modules(path)}
    assert {"dnf", "fonts", "default-flatpaks", "files", "justfiles", "systemd"} <= kinds


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_file_that_a_recipe_names_is_there(path: Path) -> None:
    for module in modules(path):
        for script in module.get("scripts", []):
            assert (IMAGE / "files/scripts" / script).is_file(), script
        for justfile in module.get("include", []) if module["type"] == "justfiles" else []:
            assert (IMAGE / "files/justfiles" / justfile).is_file(), justfile
        for entry in module.get("files", []) if module["type"] == "files" else []:
            assert (IMAGE / "files" / entry["source"]).is_dir(), entry


def test_no_check_that_needs_the_network_decides_about_a_boot() -> None:
    text = (IMAGE / "files/system/etc/greenboot/greenboot.conf").read_text()
    assert re.search(r'^DISABLED_HEALTHCHECKS=\(.*"01_repository_dns_check\.sh".*\)$', text, re.MULTILINE)
    own = {path.name for path in (IMAGE / "files/system/usr/lib/greenboot/check/required.d").iterdir()}
    assert own == {"50-aether.sh"}


def test_units_that_the_image_brings_and_enables_exist() -> None:
    enabled = {unit for module in modules(RECIPES[0]) if module["type"] == "systemd" for unit in module["system"]["enabled"]}
    own = {path.name for path in (IMAGE / "files/system/usr/lib/systemd/system").iterdir()}
    assert "nix.mount" in enabled & own
    mount = (IMAGE / "files/system/usr/lib/systemd/system/nix.mount").read_text()
    assert "Where=/nix" in mount, "systemd refuses a mount unit that is not called after its mount point"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_openbox_comes_with_what_an_x_session_needs(path: Path) -> None:
    """Plasma brings no X server; the login manager starts the session by xinit's Xsession."""
    assert {"openbox", "xorg-x11-server-Xorg", "xorg-x11-xinit"} <= packages(path)
    nixos = set(re.findall(r"pkgs\.(\w+)", (IMAGE.parent / "nix/modules/features/openbox.nix").read_text()))
    assert nixos - packages(path) == {"tint2"}, "of the NixOS half's session, Fedora lacks the panel alone"


def test_the_session_starts_as_on_nixos_with_a_panel_that_the_image_has() -> None:
    text = (IMAGE / "files/system/etc/xdg/openbox/autostart").read_text()
    nixos = (IMAGE.parent / "nix/modules/features/openbox.nix").read_text()
    (lines,) = re.findall(r"\"xdg/openbox/autostart\"\.text = ''\n(.*?)''", nixos, re.DOTALL)
    assert text.split() == lines.replace("tint2", "lxpanel").split()
    brought_by = {"lxpanel": "lxpanel", "nm-applet": "network-manager-applet"}
    assert {brought_by[program] for program in re.findall(r"(?m)^(\S+) &$", text)} <= packages(RECIPES[0])


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_initramfs_is_built_after_everything_else(path: Path) -> None:
    kinds = [module["type"] for module in modules(path)]
    assert kinds[-1] == "initramfs" and kinds.count("initramfs") == 1


def test_a_surface_can_be_unlocked_by_its_own_keyboard() -> None:
    """The same drivers as the NixOS half of the machine, and the one that gives the others an interrupt before them."""
    text = (IMAGE / "files/system/usr/lib/dracut/dracut.conf.d/50-surface.conf").read_text()
    # dracut joins the lists of its files: without the blanks the first and the last name would run into others.
    (drivers,) = re.findall(r'(?m)^force_drivers\+=" (.*) "$', text)
    nixos = (IMAGE.parent / "nix/hosts/bifrost/surface.nix").read_text()
    (block,) = re.findall(r"boot\.initrd\.kernelModules = \[(.*?)\];", nixos, re.DOTALL)
    assert set(drivers.split()) == set(re.findall(r'"([^"]+)"', block))
    assert drivers.split()[0] == "pinctrl_tigerlake"


def test_cards_keep_the_address_that_the_router_knows() -> None:
    """Fedora's own file of this name makes up another for each network."""
    lines = (IMAGE / "files/system/etc/NetworkManager/conf.d/22-wifi-mac-addr.conf").read_text().splitlines()
    assert "wifi.cloned-mac-address=permanent" in lines


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_shellchecked(path: Path) -> None:
    done = subprocess.run([Path(sys.executable).with_name("shellcheck"), str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


class TestWorkflow:
    workflow = yaml.safe_load((IMAGE / ".github/workflows/build.yml").read_text())
    steps: ClassVar = [(name, job, step) for name, job in workflow["jobs"].items() for step in job["steps"]]

    def test_every_action_is_pinned_by_commit_with_its_version_beside(self) -> None:
        text = (IMAGE / ".github/workflows/build.yml").read_text()
        uses = re.findall(r"uses: (\S+)(.*)", text)
        assert uses
        for reference, comment in uses:
            assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", reference), reference
            assert re.fullmatch(r" # v\d[\d.]*", comment), f"{reference} says no version"

    def test_pull_requests_build_and_push_nothing(self) -> None:
        triggers = self.workflow[True]
        assert "pull_request" in triggers and "pull_request_target" not in triggers
        for name, job, step in self.steps:
            run = step.get("run", "")
            if re.search(r"podman push|skopeo copy|cosign sign|gh api --method", run):
                condition = f"{job.get('if', '')} {step.get('if', '')}"
                assert "github.event_name != 'pull_request'" in condition, (name, step["name"])

    def test_the_signing_key_is_in_one_job_that_needs_the_environment(self) -> None:
        with_key = {name for name, _, step in self.steps if "secrets.COSIGN" in str(step)}
        assert with_key == {"publish"}
        assert self.workflow["jobs"]["publish"]["environment"] == "release"

    def test_images_are_signed_so_that_rpm_ostree_sees_it(self) -> None:
        sign = next(step["run"] for _, _, step in self.steps if "cosign sign" in step.get("run", ""))
        assert "--new-bundle-format=false" in sign and '@$digest"' in sign

    def test_it_is_tested_scanned_and_listed_before_it_is_pushed(self) -> None:
        names = [step.get("name") for name, _, step in self.steps if name == "build"]
        order = [
            names.index(step)
            for step in (
                "Build",
                "Test inside the image",
                "Write the bill of materials",
                "Look for known vulnerabilities",
                "Push the candidate",
            )
        ]
        assert order == sorted(order)

    @pytest.mark.parametrize("fault", [False, True])
    def test_its_first_job_runs_as_written(self, tmp_path: Path, fault: bool) -> None:
        """By the shell that GitHub's runner takes, in a checkout; a script with a fault ends it."""
        (step,) = [step for name, _, step in self.steps if name == "lint" and "run" in step]
        for folder in ("files", "tests"):
            shutil.copytree(IMAGE / folder, tmp_path / folder)
        if fault:
            (tmp_path / "tests/image.sh").open("a").write("rm $image/*\n")
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        done = subprocess.run(command, cwd=tmp_path, env={"PATH": path}, capture_output=True, text=True, check=False)
        assert (done.returncode != 0) == fault, done.stdout
        assert ("SC2086" in done.stdout) == fault

    def test_what_it_asks_in_the_image_is_what_was_tried(self) -> None:
        """tests/atomic/test_image_script.py runs that script so."""
        (run,) = [step["run"] for _, _, step in self.steps if step.get("name") == "Test inside the image"]
        assert run.endswith('"localhost/$IMAGE" bash /tests/image.sh "$IMAGE"')
        assert "bash /tests/image.sh aether-kinoite >" in (IMAGE.parent / "tests/atomic/image_root.sh").read_text()

    def test_it_rebuilds_on_a_schedule(self) -> None:
        assert self.workflow[True]["schedule"]

    def test_no_job_has_more_rights_than_it_says(self) -> None:
        assert self.workflow["permissions"] == {}
        assert all("permissions" in job for job in self.workflow["jobs"].values())

    def test_no_expression_is_pasted_into_a_shell(self) -> None:
        for _, _, step in self.steps:
            assert "${{" not in step.get("run", ""), f"{step['name']}: pass it by the environment"
