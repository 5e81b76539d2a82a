"""A PostgreSQL of the hosts' major version, on the loopback interface: Debian's, in a root that get-checkers.sh unpacked.

It runs in that root with mounts of its own, gone with the process, and as another user: PostgreSQL refuses root.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from aether_sim.testing import wait_until
from tests.system.state_servers import running

from .conftest import CACHE

DEBIAN = CACHE / "checkers/database"
PROGRAMS = "/usr/lib/postgresql/17/bin"
_USER = 65534
# Of the folder that the test gave, inside.
INSIDE = "/srv"
_IN = """
root=$1 folder=$2
shift 2
mount --make-rprivate /
mount --rbind /dev "$root/dev"
mount --bind "$folder" "$root/srv"
cd /
HOME=/srv exec chroot --userspec=65534:65534 "$root" "$@"
"""


@dataclass
class Postgres:
    """A server whose files are in FOLDER (``INSIDE`` for itself and its programs)."""

    folder: Path
    port: int

    def command(self, program: str, *arguments: str) -> list[str]:
        """What runs one of its programs."""
        within = ["unshare", "--mount", "sh", "-ec", _IN, "sh", str(DEBIAN / "root"), str(self.folder)]
        return [*within, f"{PROGRAMS}/{program}", *arguments]

    def put(self, name: str, text: str, mode: int = 0o600) -> None:
        """A file that the server and its programs can read."""
        file = self.folder / name
        file.write_text(text)
        file.chmod(mode)
        os.chown(file, _USER, _USER)

    def owner(self, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        """What PostgreSQL's own administrator is answered by psql in database apps; it has to end well."""
        command = self.command("psql", "-XAtq", "-h", INSIDE, "-p", str(self.port), "-U", "postgres", "-d", "apps", *arguments)
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **(environment or {})})
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def psql(self, user: str, *arguments: str, sslmode: str = "require") -> list[str]:
        """What runs psql as a program of the cluster's: over the network, with the password in PGPASSWORD."""
        where = f"host=127.0.0.1 port={self.port} user={user} dbname=apps sslmode={sslmode}"
        return self.command("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", *arguments, where)

    def sql(self, user: str, password: str, *commands: str, sslmode: str = "require") -> subprocess.CompletedProcess[str]:
        """COMMANDS by an account."""
        given = [part for command in commands for part in ("-c", command)]
        return subprocess.run(
            self.psql(user, *given, sslmode=sslmode),
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"PGPASSWORD": password},
        )


def _create(command: list[str]) -> None:
    """Run COMMAND once the server, which takes connections before it answers any, has started."""

    def created() -> bool:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0 or "starting up" in done.stderr, done.stderr
        return done.returncode == 0

    wait_until("the database server has started", created)


@contextmanager
def postgres(folder: Path, port: int, rules: str, certificate: str, key: str) -> Iterator[Postgres]:
    """A new server with an empty database ``apps``; RULES (pg_hba.conf) say who may come from where."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("PostgreSQL gets a root and a user of its own: needs root on Linux")
    if not (DEBIAN / "complete").exists():
        pytest.skip("PostgreSQL is not there: run nix/tools/get-checkers.sh")
    folder.mkdir()
    os.chown(folder, _USER, _USER)
    server = Postgres(folder, port)
    made = server.command("initdb", "--auth=trust", "--username=postgres", "--no-sync", "--no-locale", "-D", f"{INSIDE}/data")
    subprocess.run(made, check=True, capture_output=True)
    server.put("data/pg_hba.conf", rules)
    server.put("server.crt", certificate)
    server.put("server.key", key)
    settings = {
        "port": port,
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": INSIDE,
        "fsync": "off",
        "ssl": "on",
        "ssl_cert_file": f"{INSIDE}/server.crt",
        "ssl_key_file": f"{INSIDE}/server.key",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with running(server.command("postgres", "-D", f"{INSIDE}/data", *options), port, {}):
        _create(server.command("createdb", "-h", INSIDE, "-p", str(port), "-U", "postgres", "apps"))
        try:
            yield server
        finally:
            # Asked to end, it would wait for whoever is connected.
            subprocess.run(
                server.command("pg_ctl", "stop", "-m", "fast", "-D", f"{INSIDE}/data"), check=True, capture_output=True
            )
