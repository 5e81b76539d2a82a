#!/usr/bin/python3
# mypy: ignore-errors
"""qm and pct of the lab's node: thin wrappers around a guest agent's socket and a container that systemd-nspawn runs.

What they do to a guest is real (guest-exec of the real agent, a container that boots and stops, files and programs in its
namespaces); what they print and end with is as in Proxmox' sources (qemu-server: CLI/qm.pm, QemuServer/Agent.pm; pve-container:
CLI/pct.pm). Guests are files below /etc/pve, `key: value` a line; what waits for the next start is under [pve:pending].
"""

import base64
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

GUESTS = Path("/var/lib/guests")
HOT = ("hostname", "memory", "onboot", "description", "tags", "swap", "cores")
MIB = 1 << 20


class Refused(Exception):
    """A message for standard error, and the exit code."""

    def __init__(self, message, code=255):
        super().__init__(message)
        self.code = code


class Config:
    """A guest's file."""

    def __init__(self, folder, vmid):
        if not vmid.isdigit():
            raise Refused(f"400 Parameter verification failed.\nvmid: type check ('integer') failed - got '{vmid}'")
        self.file = Path("/etc/pve", folder, f"{vmid}.conf")
        if not self.file.exists():
            # Perl's die ends with errno where that is set: ENOENT.
            raise Refused(f"Configuration file 'nodes/{os.uname().nodename}/{folder}/{vmid}.conf' does not exist", 2)
        running, _, pending = self.file.read_text().partition("[pve:pending]\n")
        self.running, self.pending = self._values(running), self._values(pending)

    @staticmethod
    def _values(text):
        return dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)

    def coming(self):
        values = {**self.running, **self.pending}
        for key in values.pop("delete", "").split(","):
            values.pop(key, None)
        return values

    def apply(self):
        self.running, self.pending = self.coming(), {}
        self.save()

    def change(self, options, live):
        """Set OPTIONS; with LIVE what a running guest cannot take waits."""
        gone = [key for key in options.pop("delete", "").split(",") if key]
        if live(gone + list(options)):
            self.running.update(options)
            for key in gone:
                self.running.pop(key, None)
        else:
            self.pending.update(options)
            if gone:
                self.pending["delete"] = ",".join(gone)
        self.save()

    def save(self):
        text = "".join(f"{key}: {value}\n" for key, value in self.running.items())
        if self.pending:
            text += "[pve:pending]\n" + "".join(f"{key}: {value}\n" for key, value in self.pending.items())
        self.file.write_text(text)


def options_of(words):
    """`--key value`, `-key value`, `--key=value`, and what is left after them."""
    found, rest = {}, list(words)
    while rest and rest[0].startswith("-") and rest[0] != "--":
        key, eq, value = rest.pop(0).lstrip("-").partition("=")
        found[key] = value if eq else rest.pop(0)
    return found, rest[1:] if rest[:1] == ["--"] else rest


def show(config, words):
    options, _ = options_of(words)
    values = config.running if options.get("current") == "1" else config.coming()
    for key in sorted(values):
        print(f"{key}: {values[key]}")


def show_pending(config):
    gone = config.pending.get("delete", "").split(",")
    for key in sorted({*config.running, *config.pending} - {"delete"}):
        if key in config.running:
            print(f"cur {key}: {config.running[key]}")
        if key in config.pending:
            print(f"new {key}: {config.pending[key]}")
        elif key in gone:
            print(f"del {key}")


class Agent:
    """The guest agent of a virtual machine, over its socket (QGA's protocol: JSON lines)."""

    def __init__(self, vmid, config):
        if "agent" not in config.running:
            raise Refused("No QEMU guest agent configured")
        self.path = f"/run/qemu-server/{vmid}/agent"
        if not Path(self.path).exists():
            raise Refused(f"VM {vmid} is not running")
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(3)
        try:
            self.socket.connect(self.path)
            self._synchronize()
            self.ask("guest-ping")
        except OSError:
            raise Refused("QEMU guest agent is not running") from None
        self.socket.settimeout(600)

    def _synchronize(self):
        """What another client left in the channel is skipped: the agent marks its answer with 0xFF."""
        self.socket.sendall(b"\xff" + json.dumps({"execute": "guest-sync-delimited", "arguments": {"id": os.getpid()}}).encode())
        self.stream = self.socket.makefile("rb")
        while (byte := self.stream.read(1)) != b"\xff":
            if not byte:
                raise OSError("closed")
        self.stream.readline()

    def ask(self, command, **arguments):
        request = {"execute": command, **({"arguments": arguments} if arguments else {})}
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        line = self.stream.readline()
        if not line:
            raise OSError("closed")
        answer = json.loads(line)
        if "error" in answer:
            raise Refused(f"Agent error: {answer['error']['desc']}")
        return answer["return"]


def to_json(value):
    """As Perl's JSON with pretty and canonical prints it."""
    return json.dumps(value, indent=3, sort_keys=True, separators=(",", " : "), ensure_ascii=False)


def guest_exec(agent, words):
    options, command = options_of(words)
    data = None
    if options.get("pass-stdin") == "1":
        data = sys.stdin.buffer.read(MIB + 1)
        if len(data) > MIB:
            raise Refused("'input-data' (STDIN) is limited to 1 MiB, aborting")
    if not command and data is None:
        raise Refused("command or input-data (or both) required")
    given = {"path": command[0], "arg": command[1:], "capture-output": True}
    if data is not None:
        given["input-data"] = base64.b64encode(data).decode()
    answer = agent.ask("guest-exec", **given)
    if options.get("synchronous", "1") == "1":
        answer = waited(agent, answer, int(options.get("timeout", "30")))
    print(to_json(answer))


def waited(agent, started, seconds):
    """The command's end; or what STARTED it, where that does not come within SECONDS (0: ever)."""
    deadline = time.monotonic() + seconds
    while seconds == 0 or time.monotonic() < deadline:
        status = agent.ask("guest-exec-status", pid=started["pid"])
        if status["exited"]:
            for key in ("out-data", "err-data"):
                if key in status:
                    status[key] = base64.b64decode(status[key]).decode(errors="replace")
            return {key: int(value) if isinstance(value, bool) else value for key, value in status.items()}
        time.sleep(0.2)
    print("timeout reached, returning pid", file=sys.stderr)
    return started


def qm(words):
    verb = words.pop(0) if words else ""
    if verb == "guest" and words:
        verb = f"guest {words.pop(0)}"
    if not words:
        raise Refused("400 not enough arguments")
    vmid = words.pop(0)
    config = Config("qemu-server", vmid)
    if verb == "status":
        print("status:", "running" if Path(f"/run/qemu-server/{vmid}/agent").exists() else "stopped")
    elif verb == "config":
        show(config, words)
    elif verb == "pending":
        show_pending(config)
    elif verb == "set":
        options, _ = options_of(words)
        print(f"update VM {vmid}:", *(f"-{key} {value}" for key, value in options.items()))
        config.change(options, lambda keys: all(key in ("description", "name", "onboot", "tags") for key in keys))
    elif verb in ("agent", "guest cmd"):
        if words[0] not in ("ping", "network-get-interfaces", "get-osinfo", "get-host-name", "info"):
            raise Refused(
                f"400 Parameter verification failed.\ncommand: value '{words[0]}' does not have a value in the enumeration"
            )
        answer = Agent(vmid, config).ask(f"guest-{words[0]}")
        if answer != {}:
            print(to_json(answer))
    elif verb == "guest exec":
        guest_exec(Agent(vmid, config), words)
    else:
        raise Refused(f"ERROR: unknown command 'qm {verb}'")


class Container:
    """A container of this node: its unit, and its first process."""

    def __init__(self, vmid, config):
        self.vmid, self.config = vmid, config
        self.unit, self.folder = f"pve-container@{vmid}.service", GUESTS / vmid

    def leader(self):
        """Its systemd; None where it does not run."""
        shown = subprocess.run(
            ["systemctl", "show", "--property=MainPID", "--value", self.unit], capture_output=True, text=True, check=False
        )
        nspawn = shown.stdout.strip()
        try:
            for child in Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split():
                if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                    return int(child)
        except OSError:
            return None
        return None

    def running(self):
        return subprocess.run(["systemctl", "is-active", "--quiet", self.unit], check=False).returncode == 0

    def start(self):
        if self.running():
            raise Refused(f"CT {self.vmid} already running")
        self.config.apply()
        root = self.folder / "root"
        layers = f"lowerdir=/lab,upperdir={self.folder}/own,workdir={self.folder}/scratch"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, root], check=True)
        nspawn = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--kill-signal=SIGRTMIN+3", "--console=pipe"]
        quiet = ["--link-journal=no", "--resolv-conf=off", "--timezone=off", f"--directory={root}", f"--machine=ct{self.vmid}"]
        options = shlex.split(self.config.running.get("lab", ""))
        init = "/nix/var/nix/profiles/system/init"
        unit = [
            "--quiet",
            "--collect",
            f"--unit={self.unit}",
            "-p",
            "Delegate=yes",
            "-p",
            "KillMode=mixed",
            "-p",
            "TimeoutStopSec=20",
        ]
        command = ["systemd-run", *unit, *nspawn, *quiet, "--network-bridge=vmbr0", *options, init]
        subprocess.run(command, check=True)

    def stop(self):
        subprocess.run(["systemctl", "stop", self.unit], check=True)
        subprocess.run(["umount", "--lazy", self.folder / "root"], check=False)

    def enter(self):
        leader = self.leader()
        if leader is None:
            raise Refused(f"container '{self.vmid}' not running!")
        return ["nsenter", "--target", str(leader), "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wdns=/", "--"]

    def execute(self, words):
        """As `lxc-attach --keep-env`: with the environment of who calls."""
        command = words[1:] if words[:1] == ["--"] else words
        entering = self.enter()
        if not command:
            raise Refused("missing command")
        os.environ |= {"container": "lxc"}
        os.execvp(entering[0], [*entering, *command])

    def push(self, words):
        (source, target), (options, _) = words[:2], options_of(words[2:])
        if not self.running():
            raise Refused("can only push files to a running CT")
        try:
            data = Path(source).read_bytes()
        except OSError:
            raise Refused(f"failed to open {source} for reading") from None
        self._into()
        self._create(target, data, options)

    def pull(self, words):
        (source, target), (options, _) = words[:2], options_of(words[2:])
        if not self.running():
            raise Refused("can only pull files from a running VM")
        into = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, int(options.get("perms", "644"), 8))
        self._into()
        try:
            os.write(into, Path(source).read_bytes())
        except OSError as error:
            raise Refused(f"failed to open {source}: {error.strerror}") from None

    def _into(self):
        """From here on files are the container's: no link leads out of it."""
        leader = self.leader()
        root = os.open(f"/proc/{leader}/root", os.O_RDONLY)
        os.setns(os.open(f"/proc/{leader}/ns/mnt", os.O_RDONLY), os.CLONE_NEWNS)
        os.fchdir(root)
        os.chroot(".")

    @staticmethod
    def _create(target, data, options):
        import grp
        import pwd

        user, group = options.get("user", "0"), options.get("group", "0")
        try:
            owner = int(user) if user.isdigit() else pwd.getpwnam(user).pw_uid
        except KeyError:
            raise Refused(f"failed to get uid for: {user}") from None
        try:
            owners = int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
        except KeyError:
            raise Refused(f"failed to get gid for: {group}") from None
        try:
            file = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as error:
            raise Refused(f"failed to create file: {target}: {error.strerror}") from None
        with os.fdopen(file, "wb") as stream:
            os.fchmod(file, int(options.get("perms", "644"), 8))
            os.fchown(file, owner, owners)
            stream.write(data)


def pct(words):
    verb = words.pop(0) if words else ""
    if not words:
        raise Refused("400 not enough arguments")
    vmid = words.pop(0)
    container = Container(vmid, Config("lxc", vmid))
    if verb == "status":
        print("status:", "running" if container.running() else "stopped")
    elif verb == "config":
        show(container.config, words)
    elif verb == "pending":
        show_pending(container.config)
    elif verb == "set":
        options, _ = options_of(words)
        container.config.change(options, lambda keys: not container.running() or all(key in HOT for key in keys))
    elif verb == "start":
        container.start()
    elif verb in ("stop", "shutdown", "reboot"):
        if not container.running():
            raise Refused(f"CT {vmid} not running")
        container.stop()
        if verb == "reboot":
            container.start()
    elif verb == "exec":
        container.execute(words)
    elif verb == "push":
        container.push(words)
    elif verb == "pull":
        container.pull(words)
    else:
        raise Refused(f"ERROR: unknown command 'pct {verb}'")


def main():
    if os.geteuid() != 0:
        print("please run as root", file=sys.stderr)
        return 255
    if not shutil.which("systemd-nspawn"):
        print("systemd-nspawn is not here", file=sys.stderr)
        return 255
    try:
        {"qm": qm, "pct": pct}[Path(sys.argv[0]).name](sys.argv[1:])
    except Refused as refused:
        print(refused, file=sys.stderr)
        return refused.code
    return 0


if __name__ == "__main__":
    sys.exit(main())
