"""Hosts: real SSH in every form that tools use, and no way from a host to the machine."""

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aether_sim.paths import REPO
from aether_sim.testing import Simulator, started, wait_until


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    yield from started(tmp_path_factory.mktemp("hosts"))


def sftp(sim: Simulator, script: str, directory: Path | None = None) -> "subprocess.CompletedProcess[str]":
    command = ["sftp", "-q", "-F", str(sim.config), "-b", "-", "debian"]
    return subprocess.run(command, input=script, cwd=directory, capture_output=True, text=True, check=False)


def test_exit_codes_streams_stdin_and_environment(sim: Simulator) -> None:
    done = sim.ssh("debian", "cat; echo err >&2; exit 7", "hello")
    assert (done.code, done.out, done.err.strip()) == (7, "hello", "err")
    assert sim.ssh("debian", "kill -TERM $$").code != 0
    assert "root" in sim.ssh("debian", "echo $USER $HOME; pwd").out
    assert sim.ssh("debian", "hostname").out == "debian\n"
    environment = {**os.environ, "AETHER_X": "seen", "OTHER_X": "not"}
    done_env = subprocess.run(
        ["ssh", "-F", str(sim.config), "-o", "SendEnv=AETHER_X OTHER_X", "debian", "echo $AETHER_X-$OTHER_X"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done_env.stdout == "seen-\n"


def test_terminal(sim: Simulator) -> None:
    done = sim.ssh("debian", "tty; test -t 0 && echo terminal; exit 3", "", "-tt")
    assert done.code == 3
    assert "/dev/pts/0" in done.out
    assert "terminal" in done.out


def test_files_both_ways(sim: Simulator, tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "sent").write_bytes(data)
    for tool in (["scp", "-q"], ["scp", "-q", "-O"]):
        subprocess.run([*tool, "-F", str(sim.config), str(tmp_path / "sent"), "debian:/root/file"], check=True)
        subprocess.run([*tool, "-F", str(sim.config), "debian:/root/file", str(tmp_path / "back")], check=True)
        assert (tmp_path / "back").read_bytes() == data
    script = (
        "mkdir /root/d\nput sent /root/d/x\nrename /root/d/x /root/d/y\nchmod 600 /root/d/y\nln -s y /root/d/z\nls -l /root/d\n"
    )
    listing = sftp(sim, script, tmp_path)
    assert listing.returncode == 0, listing.stderr
    assert "-rw-------" in listing.stdout
    assert sftp(sim, "get /nonexistent\n").returncode != 0
    sim.fault("debian", "disk-full")
    full = sftp(sim, "put sent /root/full\n", tmp_path)
    sim.fault("debian", "disk-full", off=True)
    assert full.returncode != 0 and "Failure" in full.stderr, full.stderr
    assert sftp(sim, "put sent /root/full\n", tmp_path).returncode == 0


def test_sftp_links_do_not_lead_out_of_the_host(sim: Simulator, tmp_path: Path) -> None:
    sim.ssh("debian", f"ln -sfn {REPO} /root/link; ln -sfn /../../../../../etc/shadow /root/shadow")
    done = sftp(sim, "ls /root/link\n")
    assert "pyproject.toml" not in done.stdout
    shadow = sim.ssh("debian", "cat /root/shadow").out
    assert shadow.startswith("root:*:")


def test_keys_decide_who_may_log_in(sim: Simulator, tmp_path: Path) -> None:
    key = tmp_path / "stranger"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    as_stranger = ["-o", f"IdentityFile={key}"]
    command = ["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    endpoint = sim.endpoints()["debian"]
    target = ["-p", str(endpoint["port"]), f"root@{endpoint['address']}", "echo in"]
    assert subprocess.run([*command, *as_stranger, *target], capture_output=True, check=False).returncode == 255
    sim.ssh("debian", "mkdir -p /root/.ssh; cat >> /root/.ssh/authorized_keys", key.with_suffix(".pub").read_text())
    done = subprocess.run([*command, *as_stranger, *target], capture_output=True, text=True, check=False)
    assert done.stdout == "in\n"
    assert sim.ssh("debian", "whoami", "", "-l", "mitso").out == "mitso\n"
    assert sim.ssh("debian", "touch /etc/x", "", "-l", "mitso").code != 0
    assert sim.ssh("debian", "true", "", "-l", "nobody").code == 255


def test_many_sessions_over_one_connection(sim: Simulator, tmp_path: Path) -> None:
    control = ["-o", "ControlMaster=auto", "-o", f"ControlPath={tmp_path}/c", "-o", "ControlPersist=30"]
    assert sim.ssh("debian", "true", "", *control).code == 0
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda number: sim.ssh("debian", f"exit {number}", "", *control).code, range(20)))
    sim.ssh("debian", "true", "", *control, "-O", "exit")
    assert codes == list(range(20))


def test_forwarding_is_for_jumps_through_nodes(sim: Simulator) -> None:
    address = sim.endpoints()["metal"]["address"]
    port = str(sim.endpoints()["metal"]["port"])
    assert sim.ssh("pve1", "", "", "-W", f"{address}:{port}").out.startswith("SSH-2.0")
    assert sim.ssh("pve1", "", "", "-W", "127.0.0.1:22").code != 0
    assert sim.ssh("debian", "", "", "-W", f"{address}:{port}").code != 0


def test_nothing_of_the_machine_is_seen_or_changed(sim: Simulator, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    marker.write_text("machine")
    probes = {
        f"cat {marker}": "the machine's files",
        f"ls {REPO}": "the checkout",
        f"cat {sim.state}/keys/operator": "the simulator's keys",
        "ls /var/run/docker.sock": "Docker's socket",
        "mount -t tmpfs none /mnt": "mounting",
        "mknod /root/disk b 8 0": "making a device",
        "hostname other": "never reached",
        "echo 1 > /proc/sys/kernel/panic": "kernel settings",
        "ip link add dummy0 type dummy": "network settings",
        "date -s 2001-01-01": "the clock",
        "chroot /proc/1/root/proc/1/root ls /work": "a way out through /proc",
        "insmod /nonexistent.ko 2>&1 | grep -q 'No such file' && false": "modules",
    }
    for command, what in probes.items():
        if command != "hostname other":
            assert sim.ssh("debian", command).code != 0, what
    sim.ssh("debian", f"mkdir -p {tmp_path}; echo host > {marker}; echo x > /tmp/of-host; rm -rf /home/* /var/*")
    assert marker.read_text() == "machine"
    assert not Path("/tmp/of-host").exists()
    assert Path("/var/lib").exists()
    before = Path("/proc/sys/kernel/hostname").read_text()
    sim.ssh("fedora", "hostname renamed")
    assert sim.ssh("fedora", "hostname").out == "renamed\n"
    assert Path("/proc/sys/kernel/hostname").read_text() == before


def test_processes_are_the_hosts_own(sim: Simulator) -> None:
    listing = sim.ssh("alpine", "ps ax -o pid,comm").out
    assert "1 init" in listing
    assert "python" not in listing
    assert sim.ssh("metal", "cat /proc/1/comm").out == "systemd\n"
    # What a session leaves running ends with the host, and not before.
    sim.ssh("alpine", "nohup sleep 1000 >/dev/null 2>&1 </dev/null & disown; true")
    assert "sleep 1000" in sim.ssh("alpine", "ps ax -o args").out
    assert sim.cli("power", "alpine", "reboot").code == 0
    wait_until("the host is back", lambda: sim.answers("alpine"))
    assert "sleep 1000" not in sim.ssh("alpine", "ps ax -o args").out


def test_reboot_clears_run_and_keeps_the_disk(sim: Simulator) -> None:
    sim.ssh("debian", "echo a > /root/kept; echo b > /run/lost; echo c > /tmp/lost")
    sim.reboot("debian")
    assert sim.ssh("debian", "cat /root/kept; cat /run/lost; cat /tmp/lost").out == "a\n"


def test_sshd_is_a_service_that_can_be_stopped(sim: Simulator) -> None:
    sim.ssh("debian", "systemctl stop ssh")
    assert not sim.answers("debian")
    assert sim.cli("power", "debian", "reboot").code == 0
    wait_until("sshd is up after a boot", lambda: sim.answers("debian"))
