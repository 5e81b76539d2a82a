"""OpenBao itself, started with the generated configuration on loopback: it initialises, configures and saves itself."""

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT, ask

HOST = ROOT / "nix" / "hosts" / "oracle" / "openbao"
CREDENTIALS = ("seal-key", "configuration-password", "oidc-client-secret", "snapshot-password")


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@dataclass
class Server:
    """An OpenBao in a directory, and commands against it."""

    program: str
    directory: Path
    settings: dict[str, Any]
    state: dict[str, Any]
    process: subprocess.Popen[bytes] | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def start(self) -> None:
        config = self.directory / "openbao.hcl.json"
        config.write_text(json.dumps(self.settings))
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen([self.program, "server", "-config", config], stdout=log, stderr=log)
        for _ in range(120):
            if self.run(self.program, "status").returncode == 0:
                return
            time.sleep(0.5)
        raise AssertionError((self.directory / "log").read_text()[-2000:])

    def stop(self) -> None:
        assert self.process
        self.process.terminate()
        self.process.wait(30)

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | self.environment)

    def bao(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        password = (self.directory / "credentials" / "configuration-password").read_text()
        login = self.run(self.program, "write", "-field=token", "auth/local/login/configuration", f"password={password}")
        return subprocess.run(
            [self.program, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | self.environment | {"BAO_TOKEN": login.stdout},
        )

    def configure(self, **changes: Any) -> subprocess.CompletedProcess[str]:
        state = self.directory / "state.json"
        state.write_text(json.dumps(self.state | changes))
        return self.run("bash", HOST / "configure.sh", state)


@pytest.fixture(scope="module")
def texts() -> tuple[str, str]:
    config = "nixosConfigurations.openbao.config"
    settings = ask(f"{config}.services.openbao.settings")
    state = ask(f'{config}.environment.etc."openbao/state.json".text')
    return json.dumps(settings), state


@pytest.fixture
def server(checker: Callable[[str], str], texts: tuple[str, str], tmp_path: Path) -> Iterator[Server]:
    program = checker("bao")
    credentials = tmp_path / "credentials"
    for directory in ("data", "log.d", "credentials", "snapshots"):
        (tmp_path / directory).mkdir()
    for name in CREDENTIALS:
        (credentials / name).write_text(secrets.token_hex(32))
    key, cert = credentials / "pki-ca-key", tmp_path / "ca.crt"
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
    openssl(
        "req",
        "-x509",
        "-new",
        "-key",
        key,
        "-out",
        cert,
        "-subj",
        "/CN=test CA",
        "-days",
        "30",
        "-addext",
        "keyUsage=critical,keyCertSign,cRLSign",
    )
    public, cluster, local, _ = free_ports(4)
    replacements = [
        (r"/run/credentials/openbao\.service", str(credentials)),
        (r"/var/lib/acme/openbao/fullchain\.pem", str(cert)),
        (r"/var/lib/acme/openbao/key\.pem", str(key)),
        (r"/var/lib/openbao", str(tmp_path / "data")),
        (r"/var/log/openbao", str(tmp_path / "log.d")),
        (r"openbao\.home\.example\.org|192\.168\.10\.13", "127.0.0.1"),
        (r":8200\b", f":{public}"),
        (r":8201\b", f":{cluster}"),
        (r":8202\b", f":{local}"),
        (r"/[^\"]*openbao_ca\.crt", str(cert)),
    ]
    settings, state = texts
    for pattern, text in replacements:
        settings, state = re.sub(pattern, text, settings), re.sub(pattern, text, state)
    # Built without the web page.
    found = Server(program, tmp_path, json.loads(settings) | {"ui": False}, json.loads(state))
    found.environment = {
        "BAO_ADDR": f"http://127.0.0.1:{local}",
        "CREDENTIALS_DIRECTORY": str(credentials),
        "HOME": str(tmp_path),
        "LOGIN_TIMEOUT": "30",
        "PATH": f"{Path(program).parent}:{os.environ['PATH']}",
    }
    assert shutil.which("jq"), "configure.sh needs jq"
    found.start()
    yield found
    found.stop()


def test_life_of_a_server(server: Server) -> None:
    for _ in range(2):
        done = server.configure()
        assert done.returncode == 0 and done.stdout.endswith("as declared\n"), done.stderr
    assert set(server.bao("policy", "list").stdout.split()) == {*server.state["policies"], "default", "root"}

    issued = server.bao("write", "-field=issuing_ca", "pki/issue/kubernetes", "common_name=a.svc.cluster.local")
    assert issued.stdout.strip() == (server.directory / "ca.crt").read_text().strip()
    refused = server.bao("write", "pki/issue/kubernetes", "common_name=a.example.net")
    assert refused.returncode != 0 and "not allowed by this role" in refused.stderr

    group = json.loads(server.bao("read", "-format=json", "identity/group/name/admins").stdout)["data"]
    assert group["policies"] == ["admin"] and group["alias"]["name"] == "admins"

    # A policy that is no longer declared goes; one that is in use stays.
    policies = {name: text for name, text in server.state["policies"].items() if name != "family"}
    done = server.configure(policies=policies)
    assert "policy family: no longer declared" in done.stdout
    assert "family" not in server.bao("policy", "list").stdout.split()

    # A mount of another type holds somebody's data: it is left alone, and said.
    done = server.configure(mounts={"kv": {"type": "transit", "description": ""}})
    assert done.returncode != 0 and "sys/mounts/kv is of type kv, not transit" in done.stderr

    for _ in range(3):
        done = server.run("bash", HOST / "snapshot.sh", server.directory / "snapshots", "2")
        assert done.returncode == 0, done.stderr
        time.sleep(1.1)
    saved = sorted((server.directory / "snapshots").iterdir())
    assert len(saved) == 2 and all(file.stat().st_size > 1000 for file in saved)

    # It comes back unsealed, by itself, with what was in it; requests were written down.
    server.stop()
    server.start()
    assert "people" in server.bao("list", "auth/oidc/role").stdout
    assert '"path":"pki/issue/kubernetes"' in (server.directory / "log.d" / "audit.log").read_text()


def test_wrong_password_says_so(server: Server) -> None:
    (server.directory / "credentials" / "configuration-password").write_text("wrong")
    server.environment["LOGIN_TIMEOUT"] = "1"
    done = server.configure()
    assert done.returncode != 0 and "was its password changed in secrets/ alone?" in done.stderr
