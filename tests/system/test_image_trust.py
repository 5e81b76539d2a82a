"""Whom a host trusts: the image's own policy, asked by the library that rpm-ostree, bootc and podman verify with.

The images are real, in a real registry, signed by the real cosign as the workflow signs them.
"""

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aether_engine.toolchain import environment
from aether_sim.registry import images
from aether_sim.registry.images import Signer
from components.github.trust import KEY, policy_files
from inventory.files import REPOSITORY
from tests.system.checkout import wait_until

TOOLS = REPOSITORY / ".aether/engine/bin"
pytestmark = pytest.mark.skipif(not (TOOLS / "cosign").exists(), reason="cosign is not there: ./aether engine ensure")


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    go = shutil.which("go")
    if go is None:
        pytest.skip("go is not installed; it builds the check of the policy")
    made = tmp_path_factory.mktemp("policycheck") / "policycheck"
    # Without the tag it would need a C library for signatures of another kind.
    command = [go, "build", "-tags", "containers_image_openpgp", "-o", str(made), "."]
    source = REPOSITORY / "tests/system/policycheck"
    done = subprocess.run(command, cwd=source, env=environment(go), capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    return made


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """HOST:PORT/OWNER of an empty registry."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    blobs = tmp_path_factory.mktemp("blobs")
    command = [str(TOOLS / "crane"), "registry", "serve", "--address", f"127.0.0.1:{port}", "--disk", str(blobs)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers() -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_until("the registry answers", answers)
        yield f"127.0.0.1:{port}/example"
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    signer = Signer(tmp_path_factory.mktemp("owner"), TOOLS)
    signer.ensure()
    return signer


@pytest.fixture(scope="module")
def signed(registry: str, owner: Signer) -> str:
    digest = images.push(TOOLS, f"{registry}/aether-kinoite:latest", "good")
    owner.sign(f"{registry}/aether-kinoite@{digest}")
    return f"{registry}/aether-kinoite@{digest}"


class Host:
    """A host's files below a root of their own."""

    def __init__(self, root: Path, tool: Path, registry: str, key: Path) -> None:
        self.root, self.tool = root, tool
        for name, text in policy_files(registry, key.read_text()).items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            # The policy names the key by its place on the host.
            path.write_text(text.replace(json.dumps(KEY), json.dumps(str(root / KEY.lstrip("/")))))

    def refuses(self, reference: str) -> str:
        """Why it does not take an image; nothing when it does."""
        arguments = [str(self.root / f"etc/containers/{name}") for name in ("policy.json", "registries.d")]
        done = subprocess.run([self.tool, *arguments, reference], capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode == 0) == (done.stderr == ""), done.stderr
        return str(done.stderr)


@pytest.fixture
def host(tmp_path: Path, tool: Path, registry: str, owner: Signer) -> Host:
    return Host(tmp_path, tool, registry, owner.public)


def test_an_image_that_the_key_signed_is_taken(host: Host, signed: str) -> None:
    assert host.refuses(signed) == ""


def test_one_without_a_signature_is_not(host: Host, registry: str) -> None:
    digest = images.push(TOOLS, f"{registry}/aether-kinoite:candidate", "a candidate")
    assert "A signature was required, but no signature exists" in host.refuses(f"{registry}/aether-kinoite@{digest}")


def test_one_of_another_key_is_not(host: Host, registry: str, tmp_path: Path) -> None:
    digest = images.push(TOOLS, f"{registry}/aether-kinoite:stranger", "of somebody else")
    stranger = Signer(tmp_path / "stranger", TOOLS)
    stranger.ensure()
    stranger.sign(f"{registry}/aether-kinoite@{digest}")
    assert "cryptographic signature verification failed" in host.refuses(f"{registry}/aether-kinoite@{digest}")


def test_cosigns_newer_form_is_seen_by_no_host(host: Host, registry: str, owner: Signer) -> None:
    """Why the workflow says --new-bundle-format=false: a good signature in the other form is none."""
    digest = images.push(TOOLS, f"{registry}/aether-kinoite:bundle", "signed in the newer form")
    flags = [
        "--yes",
        "--new-bundle-format=true",
        "--use-signing-config=false",
        "--tlog-upload=false",
        "--key",
        str(owner.private),
    ]
    reference = f"{registry}/aether-kinoite@{digest}"
    images.run(TOOLS / "cosign", "sign", *flags, reference, cwd=owner.directory, COSIGN_PASSWORD=owner.password)
    assert "no signature exists" in host.refuses(reference)


def test_a_changed_one_with_the_signature_of_the_real_one_is_not(host: Host, registry: str, signed: str) -> None:
    name, _, digest = signed.partition("@")
    other = images.push(TOOLS, f"{name}:changed", "tampered with")
    images.borrow_signature(TOOLS, name, digest, other)
    assert "digest" in host.refuses(f"{name}@{other}").lower()


def test_a_signed_one_under_another_name_is_not(host: Host, registry: str, signed: str) -> None:
    """Who may write to the registry cannot have hosts of one image take another."""
    digest = signed.partition("@")[2]
    images.run(TOOLS / "crane", "copy", signed, f"{registry}/aether-kinoite-nvidia:latest")
    signature = f"{digest.replace(':', '-')}.sig"
    images.run(TOOLS / "crane", "copy", f"{registry}/aether-kinoite:{signature}", f"{registry}/aether-kinoite-nvidia:{signature}")
    assert "identity" in host.refuses(f"{registry}/aether-kinoite-nvidia@{digest}").lower()


def test_a_registry_that_the_policy_does_not_name_needs_no_signature(host: Host, signed: str) -> None:
    """What people run in podman."""
    elsewhere = signed.replace("/example/", "/elsewhere/")
    images.run(TOOLS / "crane", "copy", signed, elsewhere.partition("@")[0] + ":latest")
    assert host.refuses(elsewhere) == ""
