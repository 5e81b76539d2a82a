"""A real OpenBao with a transit key, in a folder of its own on the loopback interface, with storage that outlives it."""

import json
import urllib.error
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.nix.conftest import find_checker
from tests.ports import free_port
from tests.system.checkout import wait_until
from tests.system.state_servers import running

# As docs/state.md has it: nothing but these two calls.
POLICY = 'path "transit/{call}/{key}" {{ capabilities = ["update"] }}\n'


@dataclass
class OpenBao:
    """The server's folder and address; what it keeps outlives a stop."""

    folder: Path
    port: int = field(default_factory=free_port)
    cluster_port: int = field(default_factory=free_port)
    root: str = ""
    unseal_key: str = ""
    process: ExitStack = field(default_factory=ExitStack)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Running, and ready; a new one is initialised."""
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        settings = {
            "storage": {"raft": {"path": str(data), "node_id": "one"}},
            "listener": {"tcp": {"address": f"127.0.0.1:{self.port}", "tls_disable": True}},
            "api_addr": self.url,
            "cluster_addr": f"http://127.0.0.1:{self.cluster_port}",
        }
        file = self.folder / "openbao.json"
        file.write_text(json.dumps(settings))
        command = [find_checker("bao"), "server", "-config", str(file), "-log-level", "error"]
        self.process.enter_context(running(command, self.port, {"HOME": str(self.folder)}))
        if not self.root:
            made = self.ask("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
            self.root, self.unseal_key = made["root_token"], made["keys"][0]
        self.unseal()

    def stop(self) -> None:
        """Nobody answers at its address."""
        self.process.close()

    def unseal(self) -> None:
        """Ready to answer: unsealed, and at the head of its cluster of one."""
        assert not self.ask("PUT", "sys/unseal", {"key": self.unseal_key})["sealed"]
        wait_until("OpenBao is active", self.active, 60)

    def active(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/v1/sys/health", timeout=10) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError:
            return False

    def transit_key(self, name: str) -> str:
        """Make the transit key; the token of a deployment, which may use it and nothing else."""
        self.ask("POST", "sys/mounts/transit", {"type": "transit"})
        self.ask("POST", f"transit/keys/{name}", {})
        rights = "".join(POLICY.format(call=call, key=name) for call in ("encrypt", "decrypt"))
        self.ask("PUT", "sys/policies/acl/aether", {"policy": rights})
        made = self.ask("POST", "auth/token/create", {"policies": ["aether"], "no_parent": True})
        return str(made["auth"]["client_token"])

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One request as root."""
        request = urllib.request.Request(f"{self.url}/v1/{path}", method=method)
        request.add_header("X-Vault-Token", self.root)
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, data, timeout=30) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.read().decode()}") from None
        return dict(json.loads(text)) if text else {}
