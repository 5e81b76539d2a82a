"""A node in the lab, as Proxmox VE is one: Debian with sshd, whose `qm` and `pct` reach real guests."""

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.container import Container, ContainerNetwork

HERE = Path(__file__).resolve().parent
BRIDGE = "vmbr0"
_BRIDGE = {
    "/etc/systemd/network/60-vmbr0.netdev": f"[NetDev]\nName={BRIDGE}\nKind=bridge\n",
    "/etc/systemd/network/60-host0.network": f"[Match]\nName=host0\n[Network]\nBridge={BRIDGE}\n",
}
# The agent of Debian's package, over the socket that QEMU would have made of its virtio port.
_AGENT = (
    "[Unit]\nDescription=QEMU guest agent\n[Service]\nExecStart=/usr/sbin/qemu-ga --method=unix-listen --path=/run/qga/agent\n"
)


@dataclass
class Node:
    """The node and its guests. Containers are the node's own; a virtual machine is what listens behind a guest agent's socket."""

    site: ContainerNetwork
    name: str
    last: int
    binds: dict[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.machine = self.site.container(self.name, self.last, card=BRIDGE)
        for path, text in _BRIDGE.items():
            self.machine.write(path, text)
        for tool in ("qm", "pct"):
            self.machine.write(f"/usr/sbin/{tool}", (HERE / "pve.py").read_text(), 0o755)
        for kind in ("qemu-server", "lxc"):
            (self.machine.own / "etc/pve" / kind).mkdir(parents=True)
        self.guests = self.machine.work / "guests"
        self.agents = self.machine.work / "agents"
        for folder in (self.guests, self.agents):
            folder.mkdir()
        key = self.machine.work / "host"
        made_key(key)
        self.machine.born_with(key)
        self.machine.host_key = public(key)

    def start(self) -> "Node":
        """Boot it; its guests may be configured before and after."""
        binds = [f"--bind={self.guests}:/var/lib/guests", f"--bind={self.agents}:/run/qemu-server"]
        binds.append(f"--bind-ro={self.site.root}:/lab")
        binds += [f"--bind={path}:{inside}" for inside, path in self.binds.items()]
        layers = [self.site.tools / "root"]
        self.machine.start(*binds, layers=layers, init="/usr/lib/systemd/systemd", nested=True)
        return self

    def container(self, vmid: int, name: str, last: int, **facts: object) -> Container:
        """A container of this node with its first system (FACTS are the system's), stopped; `pct start` boots it."""
        made = Container(self.site, name, f"10.77.0.{last}", self.guests / str(vmid))
        self._born(made, facts)
        self.configure("lxc", vmid, {"hostname": name, "memory": "512", "ostype": "nixos", "arch": "amd64"})
        return made

    def virtual(self, vmid: int, name: str, last: int, **facts: object) -> Container:
        """A machine with a guest agent behind a socket, stopped. To the node it is a virtual machine."""
        made = self.site.container(name, last)
        made.unit("agent.service", _AGENT)
        self._born(made, facts)
        (self.agents / str(vmid)).mkdir()
        self.configure("qemu-server", vmid, {"name": name, "agent": "enabled=1", "memory": "512"})
        return made

    def power(self, vmid: int, machine: Container) -> None:
        """Switch a virtual machine on. Nobody knows its SSH host key yet."""
        machine.boot(f"--bind={self.agents / str(vmid)}:/run/qga")

    def _born(self, guest: Container, facts: dict[str, object]) -> None:
        """With a key of its own that nobody knows, as images make one at their first boot."""
        made_key(guest.work / "born")
        guest.born_with(guest.work / "born")
        guest.install(self.site.base.system(name=guest.name, **facts))

    def configure(self, folder: str, vmid: int, values: dict[str, str]) -> None:
        """A guest's configuration, before or after the node's start."""
        text = "".join(f"{key}: {value}\n" for key, value in values.items())
        path = f"/etc/pve/{folder}/{vmid}.conf"
        if self.machine.on:
            done = self.machine.ssh(f"cat >{path}", text)
            assert done.returncode == 0, done.stderr
        else:
            self.machine.write(path, text)

    def ssh(self, command: str, text: str = "", timeout: int = 300) -> "subprocess.CompletedProcess[str]":
        return self.machine.ssh(command, text, timeout)


def made_key(path: Path) -> None:
    """A new SSH key pair at PATH."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", path], check=True)


def public(path: Path) -> str:
    """The public half of the key at PATH, without its comment."""
    return " ".join(path.with_suffix(".pub").read_text().split()[:2])
