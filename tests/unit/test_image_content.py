"""What the image repository holds: image/ and what is made from the inventory."""

import json
import os
import socket
import subprocess
from pathlib import Path

import pytest
import yaml

from components.github.content import CHECKS, SYSTEM, ContentError, repository_files
from components.github.trust import policy_files
from components.github.workflow import required_checks, used_actions
from inventory.load import load
from inventory.models import AtomicHost

ROOT = Path(__file__).resolve().parents[2]
KEY = "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n"


def atomic_hosts() -> dict[str, AtomicHost]:
    return load(ROOT / "inventory/homelab.toml").of(AtomicHost)


@pytest.fixture
def files() -> dict[str, str]:
    return repository_files(ROOT / "image", "ghcr.io/example", KEY, atomic_hosts())


class TestTree:
    def test_everything_of_image_is_there_as_it_is(self, files: dict[str, str]) -> None:
        for name in ("README.md", "recipes/aether-kinoite.yml", ".github/workflows/build.yml", "tests/image.sh"):
            assert files[name] == (ROOT / "image" / name).read_text()

    def test_the_public_key_is_the_stacks_and_not_the_one_of_the_folder(self, files: dict[str, str]) -> None:
        assert files["cosign.pub"] == KEY
        assert files[f"{SYSTEM}/etc/pki/containers/aether.pub"] == KEY

    def test_paths_are_sorted_so_that_a_change_shows_as_one(self, files: dict[str, str]) -> None:
        assert list(files) == sorted(files)

    def test_what_is_not_text_is_refused_with_its_name(self, tmp_path: Path) -> None:
        (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff\xfe")
        with pytest.raises(ContentError, match=r"picture\.png: is not text"):
            repository_files(tmp_path, "ghcr.io/example", KEY, {})

    def test_a_file_that_the_inventory_makes_is_refused_in_the_folder(self, tmp_path: Path) -> None:
        path = tmp_path / f"{SYSTEM}/etc/containers/policy.json"
        path.parent.mkdir(parents=True)
        path.write_text("{}")
        with pytest.raises(ContentError, match="is made from the inventory"):
            repository_files(tmp_path, "ghcr.io/example", KEY, {})


class TestPolicy:
    policy = json.loads(policy_files("ghcr.io/example", KEY)["etc/containers/policy.json"])

    def test_the_default_rejects(self) -> None:
        assert self.policy["default"] == [{"type": "reject"}]

    def test_the_registry_is_trusted_by_its_key_alone(self) -> None:
        (rule,) = self.policy["transports"]["docker"]["ghcr.io/example"]
        assert rule["type"] == "sigstoreSigned"
        assert rule["keyPath"] == "/etc/pki/containers/aether.pub"
        assert rule["signedIdentity"] == {"type": "matchRepository"}

    def test_nothing_under_the_registry_gets_by_without_a_signature(self) -> None:
        docker = self.policy["transports"]["docker"]
        assert not [scope for scope in docker if scope.startswith("ghcr.io/example/")]

    def test_signatures_are_looked_for_beside_the_image(self) -> None:
        text = policy_files("ghcr.io/example", KEY)["etc/containers/registries.d/aether.yaml"]
        assert yaml.safe_load(text) == {"docker": {"ghcr.io/example": {"use-sigstore-attachments": True}}}


class TestWorkflowFacts:
    def test_actions_that_github_does_not_own_are_listed_once(self, files: dict[str, str]) -> None:
        assert used_actions(files) == ("anchore/sbom-action@*", "anchore/scan-action@*", "sigstore/cosign-installer@*")

    def test_jobs_of_pull_requests_are_required_with_their_matrix(self, files: dict[str, str]) -> None:
        assert required_checks(files) == ("lint", "build aether-kinoite", "build aether-kinoite-nvidia")


class TestGreenboot:
    """The image's own health script on checks that the inventory made."""

    script = ROOT / "image/files/system/usr/libexec/aether/health"

    def run(self, folder: Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([self.script, str(folder)], capture_output=True, text=True, check=False, timeout=30)

    def write(self, folder: Path, *lines: str) -> None:
        (folder / socket.gethostname()).write_text("".join(f"{line}\n" for line in lines))

    def test_every_atomic_host_has_its_checks(self, files: dict[str, str]) -> None:
        for name, host in atomic_hosts().items():
            lines = files[f"{SYSTEM}/{CHECKS}/{name}"].splitlines()
            assert len(lines) == len(host.health) > 0
            assert all(len(line.split("\t")) == 4 for line in lines)

    def test_a_host_without_checks_is_good(self, tmp_path: Path) -> None:
        assert self.run(tmp_path).returncode == 0

    def test_checks_that_hold_make_a_good_boot(self, tmp_path: Path) -> None:
        self.write(tmp_path, "command\ttest -d /\t-\t1")
        done = self.run(tmp_path)
        assert done.returncode == 0, done.stderr

    def test_one_that_does_not_hold_makes_a_red_boot_and_says_which(self, tmp_path: Path) -> None:
        self.write(tmp_path, "command\ttrue\t-\t1", "command\ttest -e /no/such/file\t-\t1")
        done = self.run(tmp_path)
        assert done.returncode == 1
        assert "not healthy: command test -e /no/such/file" in done.stderr

    def test_an_unknown_check_is_not_taken_for_good(self, tmp_path: Path) -> None:
        self.write(tmp_path, "mood\tcheerful\t-\t1")
        assert self.run(tmp_path).returncode == 1

    def test_tcp_is_tried_on_the_hosts_own_address(self, tmp_path: Path) -> None:
        addresses = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False).stdout.split()
        with socket.create_server((addresses[0] if addresses else "127.0.0.1", 0)) as server:
            self.write(tmp_path, f"tcp\t{server.getsockname()[1]}\t-\t1")
            assert self.run(tmp_path).returncode == 0
        assert self.run(tmp_path).returncode == 1

    def test_the_check_is_executable_where_greenboot_looks(self) -> None:
        assert os.access(self.script, os.X_OK)
        assert "required.d" in str(next(ROOT.glob("image/files/system/usr/lib/greenboot/check/required.d/*.sh")))
