"""OCI images of services: what is in them is what the host's unit has, and an OCI tool reads the result."""

import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from inventory.files import REPOSITORY

from .conftest import ask, host_report
from .workloads import settings

SERVICES = {"adguard": "adguardhome", "step-ca": "step-ca"}


def exported(host: str) -> dict[str, Any]:
    """Image configuration of a host's service."""
    wanted = " ".join(f'{name} = images."{name}".oci.settings;' for name in SERVICES)
    found = ask("legacyPackages.x86_64-linux.images", f"images: {{ {wanted} }}")
    return dict(found[host][SERVICES[host]])


@pytest.mark.parametrize("host", SERVICES)
def test_an_image_has_the_environment_and_the_state_of_the_unit(host: str) -> None:
    image = exported(host)
    unit = settings(host_report(host).value["units"][f"{SERVICES[host]}.service"])
    assert {line.strip('"').replace("%S", "/var/lib") for line in unit["Environment"]} <= set(image["Env"])
    (state,) = unit["StateDirectory"]
    assert f"/var/lib/{state}" in image["Volumes"] and f"STATE_DIRECTORY=/var/lib/{state}" in image["Env"]
    assert image["Entrypoint"][0].endswith(f"{SERVICES[host]}-start")
    opened = host_report(host).value["openPorts"]
    for port in image["ExposedPorts"]:
        number, kind = port.split("/")
        assert int(number) in opened[kind]


def test_no_secret_is_in_it() -> None:
    """They are where the host has them, from outside."""
    assert "/run/secrets" in exported("step-ca")["Volumes"]
    assert "/var/lib/acme/dns" in exported("adguard")["Volumes"]


@pytest.mark.parametrize("host", SERVICES)
def test_an_oci_tool_reads_it(host: str, tmp_path: Path) -> None:
    """crane, by its own types of the image specification; the layer is the test's, as nothing is built."""
    crane = REPOSITORY / ".aether/engine/bin/crane"
    if not crane.exists():
        pytest.skip("crane is not built: make setup")
    image = exported(host)
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("nothing"), io.BytesIO())
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    config = {"architecture": "amd64", "os": "linux", "config": image}
    config["rootfs"] = {"type": "layers", "diff_ids": [f"sha256:{digest}"]}
    files = {
        "config.json": json.dumps(config).encode(),
        "layer.tar": layer.getvalue(),
        "manifest.json": json.dumps(
            [{"Config": "config.json", "RepoTags": [f"aether/{host}:test"], "Layers": ["layer.tar"]}]
        ).encode(),
    }
    archive = tmp_path / "image.tar"
    with tarfile.open(archive, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    subprocess.run([crane, "validate", "--tarball", archive], check=True, capture_output=True)
