"""The fake for the command plugin, row by row of the table in docs/engine.md, under the real engine."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pulumi
import pulumi_command as command
import pytest
from command_plugin_host import (
    CLIENT_TEXT,
    HOST_KEY,
    LOCKED_TEXT,
    OTHER_KEY,
    PASSPHRASE,
    PASSWORD,
    SshHost,
    install_accept_env,
    public,
)
from pulumi import automation as auto

ROOT = Path(__file__).resolve().parents[4]
ENGINE = ROOT / ".aether/engine/bin"

pytestmark = pytest.mark.skipif(not ENGINE.is_dir(), reason="the engine is not there: ./aether engine ensure")


def environment(folder: Path) -> dict[str, str]:
    return {
        "PATH": f"{ENGINE}:{ROOT / '.venv/bin'}:{os.environ['PATH']}",
        "PULUMI_HOME": str(ROOT / ".aether/pulumi-home"),
        "PULUMI_BACKEND_URL": f"file://{folder}",
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "SSH_AUTH_SOCK": "",
    }


class Failed(Exception):
    """An update failed; the message is what a person sees."""


class World:
    """A stack of its own, and a folder for the traces of commands."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = tmp_path / "work"
        self.state = tmp_path / "state"
        self.folder.mkdir()
        self.state.mkdir()
        for name, value in environment(self.state).items():
            monkeypatch.setenv(name, value)
        settings = auto.ProjectSettings("command", "python", backend=auto.ProjectBackend(f"file://{self.state}"))
        self.stack = auto.create_stack(
            "test", project_name="command", program=lambda: None, opts=auto.LocalWorkspaceOptions(project_settings=settings)
        )
        self.messages: list[str] = []

    def _event(self, event: auto.EngineEvent) -> None:
        if event.diagnostic_event is not None:
            self.messages.append(event.diagnostic_event.message)

    def up(self, program: Callable[[], None]) -> dict[str, Any]:
        return self._act(lambda: self.stack.up(program=program, on_event=self._event), "summary")

    def preview(self, program: Callable[[], None]) -> dict[str, int]:
        self.messages = []
        done = self.stack.preview(program=program, on_event=self._event)
        return {str(getattr(kind, "value", kind)): count for kind, count in done.change_summary.items()}

    def destroy(self) -> None:
        self._act(lambda: self.stack.destroy(on_event=self._event), "summary")

    def _act(self, action: Callable[[], Any], _: str) -> dict[str, Any]:
        self.messages = []
        try:
            done = action()
        except auto.CommandError as error:
            raise Failed("\n".join(self.messages) or str(error)) from error
        outputs = getattr(done, "outputs", {})
        result = {name: output.value for name, output in outputs.items()}
        result["changes"] = dict(done.summary.resource_changes or {})
        return result

    def resources(self) -> dict[str, Any]:
        exported = self.stack.export_stack().deployment or {}
        return {resource["urn"].rpartition("::")[2]: resource for resource in exported.get("resources", [])}

    def raw_state(self) -> str:
        return "".join(path.read_text() for path in self.state.rglob("*.json"))

    def trace(self) -> list[str]:
        path = self.folder / "trace"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshHost]:
    install_accept_env(monkeypatch.setattr)
    made = SshHost(tmp_path / "host")
    yield made
    made.close()


def connection(host: SshHost, **changes: Any) -> command.remote.ConnectionArgs:
    values: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": host.port,
        "user": "root",
        "private_key": CLIENT_TEXT,
        "host_key": public(HOST_KEY),
        "dial_error_limit": 0,
        **changes,
    }
    return command.remote.ConnectionArgs(**values)


def local(name: str, **arguments: Any) -> Callable[[], None]:
    def program() -> None:
        made = command.local.Command(name, **arguments)
        pulumi.export("stdout", made.stdout)
        pulumi.export("stderr", made.stderr)
        pulumi.export("id", made.id)

    return program


def remote(host: SshHost, name: str = "far", link: dict[str, Any] | None = None, **arguments: Any) -> Callable[[], None]:
    def program() -> None:
        made = command.remote.Command(name, connection=connection(host, **(link or {})), **arguments)
        pulumi.export("stdout", made.stdout)
        pulumi.export("stderr", made.stderr)

    return program


def test_local_life(world: World) -> None:
    """local: preview, create, unchanged, update, update without `update`, triggers, delete, previous output."""
    base: dict[str, Any] = {
        "dir": str(world.folder),
        "create": "echo create >> trace; printf 'one\\ntwo\\n\\n'; echo warn >&2",
        "delete": 'echo "delete $PULUMI_COMMAND_STDOUT/$PULUMI_COMMAND_STDERR" >> trace',
        "triggers": ["a"],
    }
    update = {"update": 'echo "update $PULUMI_COMMAND_STDOUT/$PULUMI_COMMAND_STDERR" >> trace; echo three'}
    assert world.preview(local("c", **base))["create"] == 2
    assert world.trace() == []
    first = world.up(local("c", **base))
    assert (first["stdout"], first["stderr"]) == ("one\ntwo\n", "warn")
    assert first["id"].startswith("c") and len(first["id"]) == 9
    assert world.trace() == ["create"]
    assert world.up(local("c", **base))["changes"] == {"same": 2}
    assert world.trace() == []
    second = world.up(local("c", **{**base, **update}))
    assert second["changes"]["update"] == 1 and second["id"] == first["id"]
    assert world.trace() == ["update one", "two", "/warn"]
    assert (second["stdout"], second["stderr"]) == ("three", "")
    third = world.up(local("c", **{**base, "environment": {"X": "1"}}))
    assert world.trace() == ["create"]
    assert third["changes"]["update"] == 1
    fourth = world.up(local("c", **{**base, "triggers": ["b"]}))
    assert fourth["changes"]["replace"] == 1 and fourth["id"] != first["id"]
    assert world.trace() == ["create", "delete one", "two", "/warn"]
    world.destroy()
    assert world.trace() == ["delete one", "two", "/warn"]


def test_local_failures(world: World) -> None:
    """local: a failed create leaves nothing, a failed update the old state, a failed delete the resource."""
    # Two pipes: which of two lines written at once is read first is the scheduler's.
    with pytest.raises(Failed, match=r"exit status 3: running \"echo out; echo err >&2; exit 3\":\s+(out\s+err|err\s+out)"):
        world.up(local("c", create="echo out; echo err >&2; exit 3"))
    assert "c" not in world.resources()
    assert world.up(local("c", create="echo good", delete="exit 4"))["stdout"] == "good"
    with pytest.raises(Failed, match="exit status 5"):
        world.up(local("c", create="echo bad; exit 5", delete="exit 4"))
    assert world.resources()["c"]["outputs"]["stdout"] == "good"
    with pytest.raises(Failed, match="exit status 4"):
        world.destroy()
    assert "c" in world.resources()
    with pytest.raises(Failed, match="no such file or directory"):
        world.up(local("d", create="true", dir=str(world.folder / "missing")))


def test_local_inputs_and_assets(world: World) -> None:
    """local: stdin, environment, interpreter, addPreviousOutputInEnv, assetPaths, archivePaths, run."""
    (world.folder / "src/deep").mkdir(parents=True)
    for name in ("src/a.js", "src/secret.js", "src/deep/b.js", "c.txt"):
        (world.folder / name).write_text(name)

    def program(word: str) -> Callable[[], None]:
        def inner() -> None:
            made = command.local.Command(
                "c",
                create="import os,sys; print(sys.stdin.read(), os.environ['WORD'], os.environ.get('PULUMI_COMMAND_STDOUT'))",
                interpreter=["python3", "-c"],
                stdin="from stdin",
                environment={"WORD": word},
                add_previous_output_in_env=False,
                dir=str(world.folder),
                asset_paths=["src/**.js", "!**secret.*", "*.txt"],
                archive_paths=["c.*"],
            )
            pulumi.export("stdout", made.stdout)
            pulumi.export("names", made.assets.apply(lambda assets: sorted(assets or {})))
            pulumi.export("archive", made.archive.apply(lambda archive: sorted(getattr(archive, "assets", {}))))
            ran = command.local.run_output(command="echo ran >> trace; echo yes", dir=str(world.folder))
            pulumi.export("ran", ran.stdout)

        return inner

    assert world.preview(program("one"))["create"] == 2
    assert world.trace() == ["ran"]
    done = world.up(program("one"))
    assert done["stdout"] == "from stdin one None"
    assert done["names"] == ["c.txt", "src/a.js", "src/deep/b.js"]
    assert done["archive"] == ["c.txt"]
    assert done["ran"] == "yes"
    assert world.up(program("two"))["stdout"] == "from stdin two None"


@pytest.mark.parametrize(
    ("logging", "shown", "hidden"),
    [
        (None, {"to-stdout", "to-stderr"}, set()),
        ("stdout", {"to-stdout"}, {"to-stderr"}),
        ("stderr", {"to-stderr"}, {"to-stdout"}),
        ("none", set(), {"to-stdout", "to-stderr"}),
    ],
)
def test_logging(world: World, host: SshHost, logging: str | None, shown: set[str], hidden: set[str]) -> None:
    """Both: logging chooses what is shown; outputs have both streams in any case; long lines do not hang."""
    line = "echo to-stdout; echo to-stderr >&2; head -c 200000 /dev/zero | tr '\\0' x"

    def program() -> None:
        near = command.local.Command(
            "near", create=f"{line} # to-local", logging=command.local.Logging(logging) if logging else None
        )
        far = command.remote.Command(
            "far", create=line, connection=connection(host), logging=command.remote.Logging(logging) if logging else None
        )
        pulumi.export("out", pulumi.Output.all(near.stdout, far.stdout).apply(lambda texts: [text[:9] for text in texts]))
        pulumi.export("err", pulumi.Output.all(near.stderr, far.stderr))

    done = world.up(program)
    said = "\n".join(world.messages).splitlines()
    for text in shown:
        assert said.count(text) == 2, text
    for text in hidden:
        assert text not in said
    assert done["out"] == ["to-stdout"] * 2
    assert done["err"] == ["to-stderr"] * 2


def test_remote_life(world: World, host: SshHost) -> None:
    """remote: preview, create, stdin, environment, update with previous output, triggers, delete, failures."""
    base: dict[str, Any] = {
        "create": "cat > stdin; echo \"$GREETING\" > greeting; printf 'one\\n\\n'; echo warn >&2",
        "delete": 'echo "$PULUMI_COMMAND_STDOUT/$PULUMI_COMMAND_STDERR" > deleted',
        "stdin": "through stdin",
        "environment": {"GREETING": "hello"},
        "triggers": ["a"],
    }
    world.preview(remote(host, **base))
    assert host.peers == []
    done = world.up(remote(host, **base))
    assert (done["stdout"], done["stderr"]) == ("one\n", "warn")
    assert (host.root / "stdin").read_text() == "through stdin"
    assert (host.root / "greeting").read_text() == "hello\n"
    assert world.up(remote(host, **base))["changes"] == {"same": 2}
    assert len(host.peers) == 1
    done = world.up(remote(host, **base, update='echo "was $PULUMI_COMMAND_STDOUT/$PULUMI_COMMAND_STDERR"'))
    assert done["stdout"] == "was one\n/warn"
    with pytest.raises(Failed, match=r"(?s)status 7.*running \"echo why >&2; exit 7\":\s+why"):
        world.up(remote(host, **{**base, "create": "echo why >&2; exit 7"}))
    assert world.up(remote(host, **{**base, "triggers": ["b"]}))["changes"]["replace"] == 1
    assert (host.root / "deleted").read_text() == "was one\n/warn/\n"
    world.destroy()
    assert (host.root / "deleted").read_text() == "one\n/warn\n"


def test_remote_environment_that_the_server_refuses(world: World, host: SshHost) -> None:
    """remote: a refused variable of the program fails, a refused previous output only warns."""
    host.accepted = set()
    with pytest.raises(Failed, match='could not set environment variable "SECRET_NAME"'):
        world.up(remote(host, create="true", environment={"SECRET_NAME": "x"}))
    assert host.commands == []
    world.up(remote(host, create="echo one"))
    assert world.up(remote(host, create="echo ${PULUMI_COMMAND_STDOUT-unset}"))["stdout"] == "unset"
    assert any('Unable to set "PULUMI_COMMAND_STDOUT"' in message for message in world.messages)


def test_host_key_and_logins(world: World, host: SshHost) -> None:
    """remote: hostKey is compared, none takes any key; password, key with passphrase, refused logins; no secret leaks."""
    with pytest.raises(Failed) as failure:
        world.up(remote(host, create="echo never", link={"host_key": public(OTHER_KEY)}))
    assert f"root@127.0.0.1:{host.port}" in str(failure.value)
    assert "host key mismatch: expected SHA256:" in str(failure.value)
    assert host.commands == []
    with pytest.raises(Failed, match="failed to parse host key"):
        world.up(remote(host, create="true", link={"host_key": "nonsense"}))
    with pytest.raises(Failed, match="unable to authenticate"):
        world.up(remote(host, create="true", link={"user": "nobody"}))
    with pytest.raises(Failed, match="unable to authenticate"):
        world.up(remote(host, create="true", link={"private_key": None, "password": "wrong pony"}))
    assert world.up(remote(host, create="echo any", link={"host_key": None}))["stdout"] == "any"
    by_password = {"private_key": None, "password": PASSWORD}
    assert world.up(remote(host, create="echo word", link=by_password))["stdout"] == "word"
    by_key = {"private_key": LOCKED_TEXT, "private_key_password": PASSPHRASE}
    assert world.up(remote(host, create="echo locked", link=by_key))["stdout"] == "locked"
    for secret in (PASSWORD, PASSPHRASE, LOCKED_TEXT.splitlines()[-2]):
        assert secret not in world.raw_state()
        assert secret not in "\n".join(world.messages)


def test_dialling(world: World, host: SshHost) -> None:
    """remote: dialErrorLimit counts failures that are tried again, perDialTimeout ends a dial to a silent host."""
    host.refuse_dials = 2
    assert world.up(remote(host, create="echo third", link={"dial_error_limit": 2}))["stdout"] == "third"
    assert "Dial 2/2 failed: retrying" in "\n".join(world.messages)
    host.refuse_dials = 9
    with pytest.raises(Failed, match="after 2 failed attempts"):
        world.up(remote(host, create="echo never", link={"dial_error_limit": 2}))
    assert host.refuse_dials == 6
    host.refuse_dials = 4
    assert world.up(remote(host, create="echo patient", link={"dial_error_limit": -1}))["stdout"] == "patient"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        link = {"port": silent.getsockname()[1], "per_dial_timeout": 1}
        started = time.monotonic()
        with pytest.raises(Failed, match="after 0 failed attempts"):
            world.up(remote(host, create="true", link=link))
        assert time.monotonic() - started < 8


def test_proxy(world: World, host: SshHost, tmp_path: Path) -> None:
    """remote: proxy is dialled first and checked on its own; the host is reached through it."""
    proxy = SshHost(tmp_path / "proxy", OTHER_KEY)
    try:
        link: dict[str, Any] = {
            "host": "127.0.0.1", "port": proxy.port, "user": "root", "password": PASSWORD, "dial_error_limit": 0,
        }  # fmt: skip

        def through(key: str) -> dict[str, Any]:
            return {"proxy": command.remote.ProxyConnectionArgs(**link, host_key=key)}

        done = world.up(remote(host, create="pwd", link=through(public(OTHER_KEY))))
        assert done["stdout"] == str(host.root)
        assert proxy.forwarded == [("127.0.0.1", host.port)]
        with pytest.raises(Failed, match=rf"proxy: root@127.0.0.1:{proxy.port}: .*host key mismatch"):
            world.up(remote(host, create="pwd; true", link=through(public(HOST_KEY))))
    finally:
        proxy.close()


def test_copy_to_remote(world: World, host: SshHost, tmp_path: Path) -> None:
    """CopyToRemote: each row of the table of sources and targets, update, triggers, refusals, destroy."""
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep/file").write_text("deep")
    single = tmp_path / "single"
    single.write_text("single")
    (host.root / "there").mkdir()
    (host.root / "old").write_text("old")

    def copies(text: str = "text", trigger: str = "a", **link: Any) -> Callable[[], None]:
        sources: dict[str, tuple[Any, str]] = {
            "text": (pulumi.StringAsset(text), "/new/parents/text"),
            "file-to-new": (pulumi.FileAsset(str(single)), "/made/file"),
            "file-to-folder": (pulumi.FileAsset(str(single)), "/there"),
            "file-over-file": (pulumi.FileAsset(str(single)), "/old"),
            "folder": (pulumi.FileArchive(str(source)), "/folder"),
            "folder-slash": (pulumi.FileArchive(f"{source}/"), "/contents"),
        }

        def program() -> None:
            for name, (asset, path) in sources.items():
                command.remote.CopyToRemote(
                    name, connection=connection(host, **link), source=asset, remote_path=path, triggers=[trigger]
                )

        return program

    world.preview(copies())
    assert host.peers == []
    assert world.up(copies())["changes"]["create"] == 7
    found = {str(path.relative_to(host.root)): path.read_text() for path in host.root.rglob("*") if path.is_file()}
    assert found == {
        "new/parents/text": "text", "made/file": "single", "there/single": "single", "old": "single",
        "folder/source/deep/file": "deep", "contents/deep/file": "deep",
    }  # fmt: skip
    dials = len(host.peers)
    assert world.up(copies(per_dial_timeout=9))["changes"]["update"] == 6
    assert len(host.peers) == dials, "another connection alone copies nothing"
    assert world.up(copies(text="other", per_dial_timeout=9))["changes"]["update"] == 1
    assert (host.root / "new/parents/text").read_text() == "other"
    assert len(host.peers) == dials + 1
    assert world.up(copies(text="other", trigger="b", per_dial_timeout=9))["changes"]["replace"] == 6

    def wrong(asset: Any, path: str) -> Callable[[], None]:
        return lambda: pulumi.export(
            "id",
            command.remote.CopyToRemote("wrong", connection=connection(host), source=asset, remote_path=path).id,
        )

    for asset, path, message in (
        (pulumi.StringAsset("x"), "/there", "is a directory; when using a text asset"),
        (pulumi.FileArchive(str(source)), "/old", "old"),
        (pulumi.AssetArchive({"a": pulumi.StringAsset("x")}), "/x", "archive must be a path"),
        (pulumi.RemoteAsset("http://127.0.0.1:9/x"), "/x", "path-based file asset or a text asset|127.0.0.1:9"),
    ):
        with pytest.raises(Failed, match=message):
            world.up(wrong(asset, path))
    world.destroy()
    assert (host.root / "old").read_text() == "single"


def test_copy_file(world: World, host: SshHost, tmp_path: Path) -> None:
    """CopyFile: copies one file, makes no folders, and every change replaces."""
    single = tmp_path / "single"
    single.write_text("one")

    def program(path: str) -> Callable[[], None]:
        return lambda: pulumi.export(
            "id",
            command.remote.CopyFile("f", connection=connection(host), local_path=str(single), remote_path=path).id,
        )

    with pytest.raises(Failed, match="failed to create remote file /none/file"):
        world.up(program("/none/file"))
    world.up(program("/one"))
    assert world.up(program("/two"))["changes"]["replace"] == 1
    assert (host.root / "one").read_text() == (host.root / "two").read_text() == "one"


def slow_project(folder: Path, line: str) -> None:
    (folder / "Pulumi.yaml").write_text("name: slow\nruntime: python\n")
    (folder / "__main__.py").write_text(
        f"import pulumi_command as command\ncommand.local.Command('slow', create={json.dumps(line)})\n"
    )


def gone(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.1)
    return False


@pytest.mark.fault
@pytest.mark.parametrize(
    ("how", "line", "seconds"),
    [
        (signal.SIGINT, "sleep 300 & echo $! > child; wait", 10),
        (signal.SIGINT, "trap '' TERM; sleep 300 & echo $! > child; while true; do sleep 1; done", 15),
        (signal.SIGKILL, "sleep 300 & echo $! > child; wait", 10),
    ],
    ids=["ctrl-c", "ctrl-c-ignored", "engine-killed"],
)
def test_no_process_outlives_the_engine(tmp_path: Path, how: signal.Signals, line: str, seconds: float) -> None:
    """local: when the engine is cancelled or dies, a command and its children end within the grace."""
    state = tmp_path / "state"
    state.mkdir()
    slow_project(tmp_path, f"cd {tmp_path}; {line}")
    env = {**os.environ, **environment(state)}
    subprocess.run(["pulumi", "stack", "init", "slow"], cwd=tmp_path, env=env, check=True, capture_output=True)
    engine = subprocess.Popen(
        ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive"],
        cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    child = tmp_path / "child"
    deadline = time.monotonic() + 60
    while not (child.exists() and child.read_text().strip()):
        assert time.monotonic() < deadline and engine.poll() is None
        time.sleep(0.1)
    pid = int(child.read_text())
    assert not gone(pid, 0.2)
    engine.send_signal(how)
    assert gone(pid, seconds)
    reader = threading.Thread(target=engine.communicate)
    reader.start()
    reader.join(30)
    assert engine.poll() is not None


@pytest.mark.fault
def test_a_cancelled_remote_command_is_told(host: SshHost, tmp_path: Path) -> None:
    """remote: when the engine is cancelled, the command on the host gets SIGTERM."""
    state = tmp_path / "state"
    state.mkdir()
    (tmp_path / "key").write_text(CLIENT_TEXT)
    (tmp_path / "Pulumi.yaml").write_text("name: slow\nruntime: python\n")
    (tmp_path / "__main__.py").write_text(
        "import pulumi_command as command\n"
        f"link = command.remote.ConnectionArgs(host='127.0.0.1', port={host.port}, private_key=open('key').read())\n"
        "command.remote.Command('slow', connection=link, create='echo begun > begun; exec sleep 300')\n"
    )
    env = {**os.environ, **environment(state)}
    subprocess.run(["pulumi", "stack", "init", "slow"], cwd=tmp_path, env=env, check=True, capture_output=True)
    engine = subprocess.Popen(
        ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive"],
        cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (host.root / "begun").exists():
        assert time.monotonic() < deadline and engine.poll() is None
        time.sleep(0.1)
    engine.send_signal(signal.SIGINT)
    said, _ = engine.communicate(timeout=30)
    assert host.signals == ["TERM"]
    assert engine.returncode != 0
    assert "cancel" in said
