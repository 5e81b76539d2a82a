"""The recipes under BlueBuild's own eyes: its schema, and the Containerfile that its own tool makes of them.

Wanted once (10 to 20 minutes; unoptimised will do):
CARGO_PROFILE_DEV_DEBUG=0 cargo install blue-build --version 0.9.40 --locked --debug --root ~/.cache/aether/bluebuild-0.9.40
The tool asks the registry for the base image; here that is a server on loopback with a certificate of its own.
"""

import asyncio
import datetime
import hashlib
import json
import os
import re
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

IMAGE = Path(__file__).resolve().parents[2] / "image"
VERSION = "0.9.40"
# The schema that the crate brings is older than these modules (dnf, initramfs), or than the version of them that is used here.
NEWER = {"dnf", "default-flatpaks", "initramfs"}
CONFIG = json.dumps(
    {"architecture": "amd64", "os": "linux", "config": {"Labels": {"org.opencontainers.image.version": "44"}}}
).encode()


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(CONFIG), "size": len(CONFIG)},
        "layers": [],
    }
).encode()


class TestSchema:
    def validator(self, schemas: Path, name: str) -> Any:
        from jsonschema import Draft202012Validator
        from referencing import Registry, Resource

        registry: Any = Registry()
        for path in schemas.rglob("*.json"):
            resource = Resource.from_contents(json.loads(path.read_text()))
            for uri in (path.relative_to(schemas).as_posix(), f"/{path.relative_to(schemas).as_posix()}"):
                registry = registry.with_resource(uri, resource)
        return Draft202012Validator(json.loads((schemas / name).read_text()), registry=registry)

    @pytest.mark.parametrize("path", sorted((IMAGE / "recipes").rglob("*.yml")), ids=lambda path: path.stem)
    def test_every_recipe_and_module_list_holds(self, schemas: Path, path: Path) -> None:
        recipe = path.parent.name == "recipes"
        document = yaml.safe_load(path.read_text())
        document["modules"] = [module for module in document["modules"] if module.get("type") not in NEWER]
        errors = list(self.validator(schemas, "recipe-v1.json" if recipe else "module-list-v1.json").iter_errors(document))
        assert not errors, errors[0].message

    def test_a_wrong_module_would_be_found(self, schemas: Path) -> None:
        wrong = {"modules": [{"type": "systemd", "sytem": {"enabled": ["sshd.service"]}}]}
        assert list(self.validator(schemas, "module-list-v1.json").iter_errors(wrong))


def test_github_would_understand_the_workflow(tmp_path: Path) -> None:
    go = shutil.which("go")
    if go is None:
        pytest.skip("go is not installed; it runs actionlint")
    tool = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.7"
    environment = {**os.environ, "GOBIN": str(tmp_path), "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    made = subprocess.run([go, "install", tool], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"actionlint cannot be had: {made.stderr.strip().splitlines()[-1]}")
    workflow = IMAGE / ".github/workflows/build.yml"
    # Its shell is checked by a test of its own.
    done = subprocess.run([tmp_path / "actionlint", "-shellcheck", "", workflow], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


class Registry:
    """ghcr.io for one test: any image is the same small one."""

    def __init__(self, folder: Path) -> None:
        self.authority = folder / "ca.pem"
        self.port = 0
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._context = self._certificate(folder)
        threading.Thread(target=self._serve, daemon=True).start()
        assert self._ready.wait(10)

    def _certificate(self, folder: Path) -> ssl.SSLContext:
        now = datetime.datetime.now(datetime.UTC)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        key = ec.generate_private_key(ec.SECP256R1())
        own = ec.generate_private_key(ec.SECP256R1())
        for public, serial, leaf in ((key.public_key(), 1, False), (own.public_key(), 2, True)):
            builder = x509.CertificateBuilder(
                name, name, public, serial, now - datetime.timedelta(1), now + datetime.timedelta(1)
            )
            builder = (
                builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
                if leaf
                else builder.add_extension(x509.BasicConstraints(True, None), True)
            )
            pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
            (folder / ("leaf.pem" if leaf else "ca.pem")).write_bytes(pem)
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (folder / "leaf.key").write_bytes(own.private_bytes(*form))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(folder / "leaf.pem", folder / "leaf.key")
        return context

    async def _answer(self, request: web.Request) -> web.Response:
        if "/manifests/" in request.path:
            headers = {"Docker-Content-Digest": digest(MANIFEST), "Content-Type": "application/vnd.oci.image.manifest.v1+json"}
            return web.Response(body=MANIFEST, headers=headers)
        return web.Response(body=CONFIG if "/blobs/" in request.path else b"{}")

    def _serve(self) -> None:
        async def start() -> None:
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", self._answer)
            runner = web.AppRunner(app)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._context).start()
            self.port = runner.addresses[0][1]
            self._ready.set()

        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(start())
        self._loop.run_forever()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)


@pytest.fixture(scope="module")
def schemas() -> Path:
    """The schemas of the crate's own tests; cargo unpacks the crate's source to tell of it."""
    pattern = f".cargo/registry/src/*/blue-build-{VERSION}/test-files/schema"
    found = next(Path.home().glob(pattern), None)
    if found is None and shutil.which("cargo"):
        asked = ["cargo", "info", f"blue-build@{VERSION}", "--registry", "crates-io"]
        subprocess.run(asked, cwd=Path.home(), capture_output=True, timeout=120, check=False)
        found = next(Path.home().glob(pattern), None)
    if found is None:
        pytest.skip(f"cargo has not fetched blue-build {VERSION}, and cannot")
    return found


@pytest.fixture(scope="module")
def tool() -> str:
    own = Path.home() / f".cache/aether/bluebuild-{VERSION}/bin/bluebuild"
    found = str(own) if own.exists() else shutil.which("bluebuild")
    if found is None:
        pytest.skip("bluebuild is not there; the first lines of this file say how to make it")
    return found


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    made = Registry(tmp_path_factory.mktemp("registry"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def generated(tool: str, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The Containerfile of each recipe."""
    folder = tmp_path_factory.mktemp("image")
    shutil.copytree(IMAGE, folder / "image")
    # Its version is all that the tool asks podman for here.
    podman = folder / "bin/podman"
    podman.parent.mkdir()
    podman.write_text('#!/bin/sh\necho \'{"Client":{"Version":"5.4.0"}}\'\n')
    podman.chmod(0o755)
    work = folder / "image"
    for command in (["init", "-q"], ["remote", "add", "origin", "https://github.com/example/aether-image.git"]):
        subprocess.run(["git", *command], cwd=work, check=True)
    environment = {**os.environ, "PATH": f"{podman.parent}:{os.environ['PATH']}", "SSL_CERT_FILE": str(registry.authority)}
    found = {}
    for recipe in sorted((work / "recipes").glob("*.yml")):
        text = re.sub(r"(?m)^base-image: ghcr.io", f"base-image: localhost:{registry.port}", recipe.read_text())
        recipe.write_text(re.sub(r"(?m)^image-version: .*", f"image-version: latest@{digest(MANIFEST)}", text))
        target = folder / recipe.stem
        options = [
            "--skip-validation",
            "--build-driver",
            "podman",
            "--registry",
            "ghcr.io",
            "--registry-namespace",
            "example",
        ]
        done = subprocess.run(
            [tool, "generate", *options, "--output", str(target), f"recipes/{recipe.name}"],
            cwd=work,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        found[recipe.stem] = target.read_text()
    return found


class TestContainerfile:
    def modules(self, text: str) -> list[dict[str, Any]]:
        return [json.loads(match) for match in re.findall(r"run_module\.sh '[^']+' '(\{.*\})'", text)]

    def test_every_recipe_becomes_a_containerfile(self, generated: dict[str, str]) -> None:
        assert set(generated) == {"aether-kinoite", "aether-kinoite-nvidia"}

    def test_the_base_is_the_digest_of_the_recipe(self, generated: dict[str, str]) -> None:
        for text in generated.values():
            assert f'kinoite-main@{digest(MANIFEST)}"' in text

    def test_modules_run_in_the_order_of_the_recipe(self, generated: dict[str, str]) -> None:
        kinds = [module["type"] for module in self.modules(generated["aether-kinoite"])]
        assert kinds[:5] == ["dnf", "dnf", "dnf", "dnf", "fonts"]
        assert kinds[5:] == ["default-flatpaks", "files", "justfiles", "script", "systemd", "initramfs"]

    def test_the_driver_goes_in_before_anything_else(self, generated: dict[str, str]) -> None:
        text = generated["aether-kinoite-nvidia"]
        assert self.modules(text)[0] == {"type": "script", "scripts": ["nvidia.sh"]}
        copied = r"COPY\s+--from=ghcr\.io/ublue-os/akmods-nvidia-open:\S+@sha256:[0-9a-f]{64}\s+/rpms /tmp/akmods-rpms"
        found = re.search(copied, text)
        assert found and found.start() < text.index("nvidia.sh")

    def test_the_plain_image_has_nothing_of_nvidia(self, generated: dict[str, str]) -> None:
        assert "nvidia" not in generated["aether-kinoite"]

    def test_the_variants_share_every_other_step(self, generated: dict[str, str]) -> None:
        plain, nvidia = (self.modules(generated[name]) for name in ("aether-kinoite", "aether-kinoite-nvidia"))
        assert nvidia[1:] == plain
