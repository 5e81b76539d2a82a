"""OpenBao itself, started with the generated configuration on loopback: it initialises, configures and saves itself."""

import json
import os
import re
import secrets
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from inventory.load import load

from .conftest import ROOT, ask
from .postgres import INSIDE, Postgres, postgres

KUBERNETES = load(ROOT / "inventory/homelab.toml").networks["kubernetes"].cidr
HOST = ROOT / "nix" / "hosts" / "oracle" / "openbao"
CREDENTIALS = ("seal-key", "configuration-password", "oidc-client-secret", "snapshot-password", "apps-database-password")
DATABASE = ROOT / "nix" / "hosts" / "trinity" / "homelab-vm" / "database.sql"


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
    api: int = 0
    """Port of the cluster's API."""
    database: int = 0
    """Port of the database's server."""
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

    def configure(self, *part: str, **changes: Any) -> subprocess.CompletedProcess[str]:
        state = self.directory / "state.json"
        state.write_text(json.dumps(self.state | changes))
        return self.run("bash", HOST / "configure.sh", state, *part)

    def write(self, path: str, data: dict[str, Any], token: str = "") -> dict[str, Any]:
        """What the server answers to a write, by HTTP: for programs that have an account of their own."""
        return self._asked(path, token, json.dumps(data).encode())

    def read(self, path: str, token: str) -> dict[str, Any]:
        """What the server answers to a read."""
        return self._asked(path, token, None)

    def _asked(self, path: str, token: str, data: bytes | None) -> dict[str, Any]:
        request = urllib.request.Request(f"{self.environment['BAO_ADDR']}/v1/{path}", data, {"X-Vault-Token": token})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            error.add_note(error.read().decode())
            raise


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
        *("-addext", "keyUsage=critical,digitalSignature,keyCertSign,cRLSign"),
        *("-addext", "subjectAltName=IP:127.0.0.1"),
    )
    public, cluster, local, api, database = free_ports(5)
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
        (r"sslrootcert=[^\"]*", f"sslrootcert={cert}"),
        (r"api\.k8s\.home\.example\.org:6443", f"127.0.0.1:{api}"),
        (r"homelab-vm\.home\.example\.org:5432", f"127.0.0.1:{database}"),
        # Everybody is on the loopback interface here.
        (re.escape(KUBERNETES), "127.0.0.0/8"),
    ]
    settings, state = texts
    for pattern, text in replacements:
        settings, state = re.sub(pattern, text, settings), re.sub(pattern, text, state)
    for write in (data := json.loads(state))["writes"]:
        if write["path"] == "auth/kubernetes/config":
            write["data"]["kubernetes_ca_cert"] = cert.read_text()
    # Built without the web page.
    found = Server(program, tmp_path, json.loads(settings) | {"ui": False}, data, api=api, database=database)
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


@pytest.fixture
def database(server: Server) -> Iterator[Postgres]:
    """The database's host as OpenBao finds it: its SQL has run, with the password of the first contact."""
    rules = ask("nixosConfigurations.homelab-vm.config.services.postgresql.authentication")
    rules = re.sub(r"[\d.]+/32|" + re.escape(KUBERNETES), "127.0.0.1/32", rules)
    certificate, key = server.directory / "ca.crt", server.directory / "credentials/pki-ca-key"
    # Inside, nobody has the name that the system user has.
    rules = rules.replace("peer", "trust")
    with postgres(server.directory / "postgres", server.database, rules, certificate.read_text(), key.read_text()) as made:
        make_roles(server, made)
        yield made


def make_roles(server: Server, database: Postgres) -> None:
    """What unit postgresql-roles does at every start."""
    database.put("roles.sql", DATABASE.read_text())
    database.put("apps-database-password", (server.directory / "credentials/apps-database-password").read_text())
    database.owner("-f", f"{INSIDE}/roles.sql", environment={"CREDENTIALS_DIRECTORY": INSIDE})


def test_accounts_of_a_database_are_made_for_an_hour_and_are_gone_when_revoked(server: Server, database: Postgres) -> None:
    credentials = server.directory / "credentials"
    first = (credentials / "apps-database-password").read_text()
    assert server.configure().returncode == 0
    done = database.sql("openbao", first, "SELECT 1")
    assert done.stdout == "1\n", done.stderr
    for _ in range(2):
        done = server.configure("databases")
        assert done.returncode == 0 and done.stdout.endswith("as declared\n"), done.stderr
    # What secrets/ knows has had its time, also for the host's own unit, which runs again.
    make_roles(server, database)
    refused = database.sql("openbao", first, "SELECT 1")
    assert "password authentication failed" in refused.stderr

    token = json.loads(server.bao("token", "create", "-policy=external-secrets", "-format=json").stdout)["auth"]["client_token"]
    writer, reader = (server.read(f"database/creds/{role}", token) for role in ("apps", "apps-readonly"))
    assert writer["lease_duration"] == 3600 and writer["renewable"]
    user, password = writer["data"]["username"], writer["data"]["password"]
    assert "SCRAM-SHA-256$" in database.owner("-c", f"SELECT rolpassword FROM pg_authid WHERE rolname = '{user}'")
    until = database.owner("-c", f"SELECT extract(epoch FROM rolvaliduntil - now()) FROM pg_roles WHERE rolname = '{user}'")
    assert 3000 < float(until) < 3700

    done = database.sql(user, password, "CREATE TABLE notes (text text)", "INSERT INTO notes VALUES ('a')")
    assert done.returncode == 0, done.stderr
    # Also what it makes without its role is no reason to keep it.
    done = database.sql(user, password, "RESET ROLE", "CREATE TABLE mine (text text)")
    assert done.returncode == 0, done.stderr
    looker = reader["data"]["username"], reader["data"]["password"]
    assert database.sql(*looker, "SELECT text FROM notes").stdout == "a\n"
    for command in ("INSERT INTO notes VALUES ('b')", "DROP TABLE notes", "CREATE TABLE other (text text)"):
        assert (
            "permission denied" in database.sql(*looker, command).stderr
            or "must be owner" in database.sql(*looker, command).stderr
        )
    for command in ("CREATE ROLE other", "SELECT rolpassword FROM pg_authid", "SELECT pg_read_file('/etc/passwd')"):
        assert "permission denied" in database.sql(user, password, command).stderr
    assert "no pg_hba.conf entry" in database.sql(user, password, "SELECT 1", sslmode="disable").stderr

    # A session that is open when the lease ends does not outlive it.
    with subprocess.Popen(
        database.psql(user),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PGPASSWORD": password},
    ) as session:
        assert session.stdin and session.stdout and session.stderr
        session.stdin.write("SELECT 'in';\n")
        session.stdin.flush()
        assert session.stdout.readline() == "in\n"
        done = server.bao("lease", "revoke", "-sync", writer["lease_id"])
        assert done.returncode == 0, done.stderr
        session.stdin.write("SELECT 'still in';\n")
        session.stdin.close()
        assert "terminating connection" in session.stderr.read()
    assert "FATAL" in database.sql(user, password, "SELECT 1").stderr
    assert database.owner("-c", f"SELECT count(*) FROM pg_roles WHERE rolname = '{user}'") == "0"
    owners = database.owner("-c", "SELECT tablename, tableowner FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    assert owners == "mine|apps\nnotes|apps"
    assert server.bao("lease", "revoke", "-sync", "-prefix", "database/creds/apps-readonly").returncode == 0
    assert "FATAL" in database.sql(*looker, "SELECT 1").stderr
    assert database.owner("-c", "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'v-%'") == "0"


def test_a_database_that_is_not_there_yet_gives_no_account_and_is_tried_again(server: Server) -> None:
    assert server.configure().returncode == 0
    done = server.configure("databases")
    assert done.returncode != 0 and "connection refused" in done.stderr
    assert "unknown role" in server.bao("read", "database/creds/apps").stderr


@contextmanager
def cluster(server: Server, tokens: dict[str, dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Stands for the cluster's API, for TokenReview alone: of each token what the cluster knows of it. Yields what was asked."""
    asked: list[dict[str, Any]] = []

    class Api(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append({"path": self.path, "as": self.headers["Authorization"], **review["spec"]})
            known = tokens.get(review["spec"]["token"])
            wanted = set(review["spec"].get("audiences") or [])
            if known and (not wanted or wanted & set(known["audiences"])):
                status = {"authenticated": True, "user": known["user"], "audiences": sorted(wanted & set(known["audiences"]))}
            else:
                status = {"authenticated": False, "error": "invalid bearer token"}
            body = json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}).encode()
            self.send_response(201)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", server.api), Api)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.directory / "ca.crt", server.directory / "credentials" / "pki-ca-key")
    http.socket = context.wrap_socket(http.socket, server_side=True)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield asked
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def token_of(namespace: str, account: str, audiences: list[str]) -> tuple[str, dict[str, Any]]:
    """A token of a service account as a cluster makes it, and what the cluster says of it."""
    uid, now = str(uuid.uuid4()), int(time.time())
    claims = {
        "iss": "https://kubernetes.default.svc",
        "sub": f"system:serviceaccount:{namespace}:{account}",
        "aud": audiences,
        "iat": now,
        "nbf": now,
        "exp": now + 600,
        "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": account, "uid": uid}},
    }
    user = {"username": claims["sub"], "uid": uid, "groups": ["system:serviceaccounts", "system:authenticated"]}
    return jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), "ES256"), {"user": user, "audiences": audiences}


def test_programs_of_the_cluster_log_in_with_their_own_accounts(server: Server) -> None:
    assert server.configure().returncode == 0
    assert server.bao("kv", "put", "-mount=kv", "kubernetes/mail", "password=hunter2").returncode == 0
    assert server.bao("kv", "put", "-mount=kv", "family/wifi", "password=hunter3").returncode == 0
    both = ["openbao", "https://kubernetes.default.svc"]
    secrets_, certificates, stranger, elsewhere = (
        token_of("external-secrets", "openbao", both),
        token_of("cert-manager", "openbao", both),
        token_of("default", "openbao", both),
        token_of("external-secrets", "openbao", ["https://kubernetes.default.svc"]),
    )
    with cluster(server, dict([secrets_, certificates, stranger, elsewhere])) as asked:

        def log_in(role: str, token: str) -> str:
            return str(server.write("auth/kubernetes/login", {"role": role, "jwt": token})["auth"]["client_token"])

        operator = log_in("external-secrets", secrets_[0])
        # It shows the token to the cluster as that token: OpenBao has no account there.
        assert asked[-1] == {
            "path": "/apis/authentication.k8s.io/v1/tokenreviews",
            "as": f"Bearer {secrets_[0]}",
            "token": secrets_[0],
            "audiences": ["openbao"],
        }
        assert server.read("kv/data/kubernetes/mail", operator)["data"]["data"] == {"password": "hunter2"}
        manager = log_in("cert-manager", certificates[0])
        issued = server.write("pki/issue/kubernetes", {"common_name": "a.svc.cluster.local"}, manager)
        assert "BEGIN CERTIFICATE" in issued["data"]["certificate"]

        for path, token in (
            ("kv/data/family/wifi", operator),
            ("kv/data/kubernetes/mail", manager),
            ("database/creds/apps", manager),
        ):
            with pytest.raises(urllib.error.HTTPError, match="403"):
                server.read(path, token)
        with pytest.raises(urllib.error.HTTPError, match="403"):
            server.write("pki/issue/kubernetes", {"common_name": "a.svc.cluster.local"}, operator)

        forged = token_of("external-secrets", "openbao", both)
        for role, token in (
            ("external-secrets", stranger[0]),
            ("external-secrets", certificates[0]),
            ("external-secrets", elsewhere[0]),
            ("external-secrets", forged[0]),
            ("cert-manager", secrets_[0]),
        ):
            with pytest.raises(urllib.error.HTTPError, match="403"):
                log_in(role, token)
