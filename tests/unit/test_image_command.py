"""`aether image` as a command: its options, Ctrl-C, and the machine that it runs."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from inventory.files import REPOSITORY
from ops.image import command, vm
from ops.stack import OpsError
from tests.unit.image_nix import HEEDS_CTRL_C, Nix, builder, files, nix, output, wait_for

__all__ = ["nix", "output"]

SCRIPT = """#!/bin/sh
# -netdev user,hostfwd=tcp:127.0.0.1:8443-:443,hostfwd=udp:192.168.1.5:5353-:53,hostfwd=tcp::9000-:9000
# -netdev user,hostfwd=tcp:0.0.0.0:9001-:1
touch box.qcow2
exit 7
"""


class TestVm:
    def script(self, tmp_path: Path, text: str = SCRIPT, name: str = "run-box-vm") -> Path:
        found = tmp_path / "store/1-vm/bin" / name
        found.parent.mkdir(parents=True, exist_ok=True)
        found.write_text(text)
        found.chmod(0o755)
        return found.parent.parent

    def test_says_its_ports_and_keeps_its_disk(self, nix: Nix, tmp_path: Path) -> None:
        nix.add("box", "vm", self.script(tmp_path))
        made, said = builder(tmp_path)
        assert made.make("box", "vm") == 7
        assert [line.strip() for line in said if "->" in line] == [
            "localhost:8443 -> port 443/tcp",
            "192.168.1.5:5353 -> port 53/udp",
            "every address of this machine:9000 -> port 9000/tcp",
            "every address of this machine:9001 -> port 1/tcp",
        ]
        assert (tmp_path / "dist/vm/box.qcow2").exists()
        assert nix.asked("build")[0][-1] == "/nix/store/0-box-vm.drv^*"

    def test_is_only_built_when_asked(self, nix: Nix, tmp_path: Path) -> None:
        nix.add("box", "vm", self.script(tmp_path))
        made, said = builder(tmp_path)
        assert made.make("box", "vm", run=False) == 0
        assert not (tmp_path / "dist/vm/box.qcow2").exists()
        boot = said[-1].removeprefix("Boot it: ")
        assert subprocess.run(boot, shell=True, check=False).returncode == 7 and (tmp_path / "dist/vm/box.qcow2").exists()

    def test_the_script_is_the_hosts_own_or_the_only_one(self, tmp_path: Path) -> None:
        output = self.script(tmp_path)
        assert vm.boot("renamed", output, tmp_path / "vm", lambda _: None, run=True) == 7
        self.script(tmp_path, name="run-other-vm")
        assert vm.boot("box", output, tmp_path / "vm", lambda _: None, run=True) == 7
        with pytest.raises(OpsError, match="has: run-box-vm, run-other-vm"):
            vm.boot("renamed", output, tmp_path / "vm", lambda _: None, run=True)

    # Writes down that it runs, and what it does on Ctrl-C.
    TRAPS = """#!/bin/bash
trap 'echo "$(date +%s%N)" >>interrupts; sleep 1; echo flushed >disk; exit 3' INT
touch running
for _ in $(seq 100); do sleep 0.1; done
"""
    IGNORES = """#!/bin/bash
trap '' INT
touch running
exec sleep 30
"""

    def started(self, nix: Nix, tmp_path: Path, text: str) -> "subprocess.Popen[str]":
        """The command with a VM that runs, as in a terminal of its own."""
        nix.add("box", "vm", self.script(tmp_path, text))
        program = HEEDS_CTRL_C + "from ops.image.command import image; sys.exit(image(sys.argv[1:]))"
        process = subprocess.Popen(
            [sys.executable, "-c", program, "box", "vm", "--dist", str(tmp_path / "dist")],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        wait_for(tmp_path / "dist/vm/running")
        return process

    def test_ends_in_order_on_ctrl_c(self, nix: Nix, tmp_path: Path) -> None:
        process = self.started(nix, tmp_path, self.TRAPS)
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=20)
        assert (tmp_path / "dist/vm/disk").read_text() == "flushed\n" and process.returncode == 3
        assert "The VM is switched off" in said and said.endswith("The VM is off. Its disk is kept.\n")

    def test_ends_at_once_on_a_second_ctrl_c(self, nix: Nix, tmp_path: Path) -> None:
        process = self.started(nix, tmp_path, self.IGNORES)
        begin = time.monotonic()
        for _ in range(2):
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(1)
        process.communicate(timeout=20)
        assert process.returncode == 128 + signal.SIGKILL and time.monotonic() - begin < 15


class TestCommand:
    def test_options_arrive(self, nix: Nix, output: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        nix.add("box", "raw", output, plain=True)
        with pytest.raises(OpsError, match="encrypted"):
            command.image(["box", "raw", "--dist", str(tmp_path / "dist")])
        assert command.image(["box", "raw", "--plain", "--dist", str(tmp_path / "dist")]) == 0
        assert "2_raw/box.raw" in files(tmp_path) and "4/4 copy: 2_raw/box.raw" in capfd.readouterr().out
        vm_script = TestVm().script(tmp_path)
        nix.add("box", "vm", vm_script)
        assert command.image(["box", "vm", "--no-run", "--dist", str(tmp_path / "dist")]) == 0
        assert not (tmp_path / "dist/vm/box.qcow2").exists()
        assert command.image(["box", "vm", "--dist", str(tmp_path / "dist")]) == 7
        assert (tmp_path / "dist/vm/box.qcow2").exists()

    def test_dist_is_where_the_caller_is(self, nix: Nix, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nix runs in the repository."""
        nix.add("box", "raw", output)
        monkeypatch.chdir(tmp_path)
        assert command.image(["box", "raw", "--dist", "dist"]) == 0
        assert (tmp_path / "dist/.roots/box-raw").is_symlink() and "2_raw/box.raw" in files(tmp_path)

    def test_lines_are_in_order_with_those_of_nix(self, nix: Nix, output: Path, tmp_path: Path) -> None:
        program = tmp_path / "nix"
        program.write_text(program.read_text() + 'if arguments[:2] == ["flake", "check"]: print("fake: checks")\n')
        nix.add("box", "raw", output)
        script = "import sys; from ops.image.command import image; sys.exit(image(sys.argv[1:]))"
        said = subprocess.run(
            [sys.executable, "-c", script, "box", "raw", "--dist", str(tmp_path / "dist")],
            cwd=REPOSITORY,
            env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert re.search(r"(?s)2/4 check.*fake: checks.*3/4 build", said)

    def test_nix_ends_in_order_on_ctrl_c(self, nix: Nix, output: Path, tmp_path: Path) -> None:
        nix.add("box", "raw", output)
        (tmp_path / "nix").rename(tmp_path / "fake")
        (tmp_path / "nix").write_text(
            f"""#!/bin/bash
[ "$1" = build ] || exec {tmp_path}/fake "$@"
trap 'sleep 1; echo kept >{tmp_path}/ended; exit 0' INT
touch {tmp_path}/building
for _ in $(seq 100); do sleep 0.1; done
"""
        )
        (tmp_path / "nix").chmod(0o755)
        program = HEEDS_CTRL_C + "runpy.run_module('ops', run_name='__main__')"
        process = subprocess.Popen(
            [sys.executable, "-c", program, "image", "box", "raw", "--dist", str(tmp_path / "dist")],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        wait_for(tmp_path / "building")
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=20)
        assert (tmp_path / "ended").read_text() == "kept\n" and process.returncode == 130
        assert "Nix ends in order" in said and "it goes on where this stopped" in said and files(tmp_path) == []

    @pytest.mark.parametrize("kind", ["docker", ""])
    def test_an_unknown_format_is_refused(self, kind: str) -> None:
        with pytest.raises(SystemExit):
            command.image(["box", kind])

    @pytest.mark.parametrize(("given", "missing"), [("FORMAT=raw", "HOST"), ("HOST=box", "FORMAT")])
    def test_make_names_what_is_missing(self, given: str, missing: str) -> None:
        done = subprocess.run(["make", "-n", "image", given], cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert done.returncode and f"{missing}=… is missing" in done.stderr
