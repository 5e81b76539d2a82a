"""An agent with many keys does not lock its owner out, and an error names the keys that were tried: a real sshd, no machine."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.fleet import public_key
from inventory.load import load
from stacks.settings import Settings
from stacks.ssh import write_client_config
from tests.lab import disk
from tests.ports import free_port
from tests.system.small import inventory

REPOSITORY = disk.REPOSITORY
# As nix/modules/security.nix has it.
OPTIONS = ("-o", "MaxAuthTries=3", "-o", "UsePAM=no", "-o", "PidFile=none")
DAEMON = 'mount -t tmpfs tmpfs "$0/run" && mkdir "$0/run/sshd" && exec chroot "$0" /usr/sbin/sshd -D -e -p "$@"'


@dataclass(frozen=True)
class Server:
    """Debian's sshd in the lab's root, and an agent whose last key is the one that it lets in."""

    base: disk.Base
    port: int
    work: Path
    agent: str

    def config(self, *, key_file: str = "", authorized: str = "") -> str:
        """The client configuration that a stack writes for host ``web``, which is this server."""
        text = inventory().replace(public_key("owner"), authorized or public_key("owner"))
        (self.work / "homelab.toml").write_text(text)
        endpoints = {"web": {"address": "127.0.0.1", "port": self.port, "hostKey": self.base.host_key}}
        (self.work / "endpoints.json").write_text(json.dumps(endpoints))
        settings = Settings(
            stack="lab-keys",
            composition="homelab",
            inventory=self.work / "homelab.toml",
            endpoints_file=str(self.work / "endpoints.json"),
            operator_key_file=key_file,
        )
        return write_client_config(settings, load(self.work / "homelab.toml"))

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        values = {**os.environ, "SSH_AUTH_SOCK": self.agent}
        return subprocess.run(command, env=values, capture_output=True, text=True, check=False, cwd=REPOSITORY, timeout=120)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if reason := disk.missing():
        pytest.skip(reason)
    base, work, port = disk.base(), tmp_path_factory.mktemp("keys"), free_port()
    command = ["unshare", "--mount", "sh", "-c", DAEMON, str(base.root / "root"), str(port), *OPTIONS]
    with (work / "sshd.log").open("w") as log:
        daemon = subprocess.Popen(command, stdout=log, stderr=log)
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(work / "agent")], stdout=subprocess.DEVNULL)
    try:
        found = Server(base, port, work, str(work / "agent"))
        deadline = time.monotonic() + 60
        while "listening" not in (work / "sshd.log").read_text() or not (work / "agent").exists():
            assert daemon.poll() is None and time.monotonic() < deadline, (work / "sshd.log").read_text()
            time.sleep(0.1)
        for number in range(6):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(work / f"key{number}")], check=True)
            added = found.run("ssh-add", "-q", str(work / f"key{number}"))
            assert added.returncode == 0, added.stderr
        assert found.run("ssh-add", "-q", str(base.operator_key)).returncode == 0
        yield found
    finally:
        for process in (daemon, agent):
            process.terminate()
            process.wait()


def test_without_the_projects_configuration_many_keys_lock_out(server: Server) -> None:
    plain = ("-F", "/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes")
    refused = server.run("ssh", *plain, "-p", str(server.port), "root@127.0.0.1", "true")
    assert refused.returncode == 255
    assert "Too many authentication failures" in refused.stderr


def test_the_key_of_the_site_is_taken_out_of_the_agent(server: Server) -> None:
    config = server.config(authorized=(server.base.root / "operator.pub").read_text().strip())
    done = server.run("ssh", "-F", config, "web", "true")
    assert done.returncode == 0, done.stderr


def test_the_operators_key_file_is_tried_and_no_other(server: Server) -> None:
    done = server.run("ssh", "-F", server.config(key_file=str(server.base.operator_key)), "web", "true")
    assert done.returncode == 0, done.stderr


def test_an_error_says_which_keys_were_tried(server: Server) -> None:
    key = str(server.work / "key0")
    text = "source components/scripts/operator.sh; open_connection web 0 || explain $? web"
    values = ("env", "AETHER_HOST=web", f"AETHER_SSH_CONFIG={server.config(key_file=key)}")
    told = server.run(*values, "bash", "-c", text).stdout
    assert f"web at 127.0.0.1 lets none of these keys in: {key}. Fix: the setting aether:operatorKeyFile" in told
