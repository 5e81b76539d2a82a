"""`aether install HOST`: NixOS over what a machine runs now, by nixos-anywhere, after checks, a backup and an explicit yes."""

import argparse
import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from components.nixos.tool import nix_command
from inventory.files import REPOSITORY
from inventory.load import Inventory
from inventory.models import Guest, NixosHost, NixosLxc, NixosMetal, NixosVm
from ops import guests, hosts
from ops.arguments import parser
from ops.fleet import inventory_of
from ops.install import anywhere, files, trust
from ops.install.anywhere import Order, Way
from ops.install.target import LINK, Disk, Layout, Machine, chosen, data, refusals
from ops.stack import OpsError, Stack
from stacks.cluster import TAG, ClusterGuest
from stacks.live import ask
from stacks.ssh import accesses

HERE = Path(__file__).parent
FIRST_CONTACT = 900
"""Seconds that the machine may take from its reboot until the host answers."""


def install(stack: Stack, arguments: list[str]) -> int:
    """Install a NixOS host over what its machine runs now: bare metal from a rescue system, or a virtual machine in place.

    By nixos-anywhere: it loads the NixOS installer into the machine's memory (kexec), makes the disks again (disko), and copies
    the system. Nothing is changed before the checks, a backup, and the host's name, typed.
    """
    options = _parser().parse_args(arguments)
    inventory = inventory_of(stack)
    facts = installable(inventory, options.host)
    access = accesses(inventory, stack.setting("endpointsFile") or "")
    pinned = {name: one.host_key for name, one in access.items()}
    config = hosts.ssh_config(stack.name)
    if not config.exists():
        raise OpsError(f"no preview has written the SSH client configuration yet. Fix: make preview STACK={stack.name}")
    private = files.private_key(stack, options.host, pinned[options.host])
    _say(f"Evaluates {options.host} …")
    layout = evaluated(stack, facts.flake or options.host, options.host)
    guest = the_guest(stack, options.host, facts) if isinstance(facts, Guest) else None
    address, port = options.address or access[options.host].address, options.port or access[options.host].port
    key = trust.trusted(options.host, trust.scan(address, port), pinned, options.host_key, trust.terminal())
    with files.workspace() as folder:
        way = Way(address, port, options.user, files.known_hosts(folder, key), _key_file(stack))
        machine = look(way, layout)
        found = refusals(machine, layout, options.disk)
        disks = chosen(machine, layout, options.disk)
        _say(shown(options.host, address, machine, disks, keep=options.keep))
        if not found:
            found = list(without_backup(options, guest, list(disks.values())))
        if layout.encrypted and trust.terminal() is None:
            found.append("its disk is encrypted, and disko asks for the passphrase: there is no terminal. Fix: run it at one")
        if found:
            raise OpsError("\n".join(f"{options.host}: {problem}" for problem in found) + "\nNothing was changed.")
        if options.look:
            return 0
        agree(options.host, options.yes_erase, list(disks.values()), keep=options.keep)
        if guest is not None and not options.backup:
            back_up(stack, guest)
        order = Order(facts.flake or options.host, options.build_on or build_place(facts), options.keep, options.kexec)
        carry_out(stack, order, way, layout, machine, disks, private, folder, options.installer_port)
    first_contact(str(config), options.host, layout)
    _say(next_step(stack.name, options.host, inventory, guest))
    return 0


def _parser() -> argparse.ArgumentParser:
    made = parser("install", install)
    made.add_argument("host", metavar="HOST", help="a nixos-metal or nixos-vm host of the inventory")
    made.add_argument("--address", help="of the rescue system, where it is not the host's own")
    made.add_argument("--port", type=int, help="its SSH port; default: the host's")
    made.add_argument("--user", default="root", help="its login; default: root")
    made.add_argument("--host-key", metavar="KEY", help="'ssh-ed25519 AAAA…' that the rescue system answers with; default: ask")
    made.add_argument("--disk", default="", metavar="SERIAL", help="the disk to install on, where the layout leaves it open")
    made.add_argument("--keep", action="store_true", help="keep the partitions that are there, made by an installation before")
    made.add_argument("--backup", default="", metavar="WHERE", help="where the backup of what is on the machine is; a guest of "
                      "Proxmox gets one by vzdump otherwise")  # fmt: skip
    made.add_argument("--yes-erase", metavar="NAME", help="the host's name, for pipelines: nobody is asked")
    made.add_argument("--look", action="store_true", help="check, show the machine and its disks, and stop")
    made.add_argument("--build-on", choices=("auto", "local", "remote"), help="default: as the host's build_on says")
    made.add_argument("--kexec", default="", metavar="FILE", help="the installer to load; default: nixos-anywhere's, downloaded")
    made.add_argument("--installer-port", type=int, default=22, metavar="N", help="SSH port of the installer; default: 22")
    return made


def installable(inventory: Inventory, name: str) -> NixosHost:
    """The host's facts. Raises OpsError where it is none that can be installed so."""
    facts = inventory.hosts.get(name)
    able = [other for other, host in inventory.hosts.items() if isinstance(host, NixosMetal | NixosVm)]
    if isinstance(facts, NixosMetal | NixosVm):
        return facts
    if isinstance(facts, NixosLxc):
        raise OpsError(
            f"{name} is a container: it has its node's kernel, and no disk to partition. Fix: replace = true in [hosts.{name}], "
            "and an `up` makes it again"
        )
    what = f"is of kind {facts.kind}" if facts is not None else f"is no host of {inventory.path}"
    kind = 'kind = "nixos-metal" (or "nixos-vm", with vmid and adopted = true, for a guest of Proxmox)'
    raise OpsError(f"{name} {what}; it cannot be installed. Fix: write {kind} for it, or name one of: {', '.join(able)}")


def evaluated(stack: Stack, attribute: str, host: str) -> Layout:
    """What the flake says of HOST. Raises OpsError where it does not evaluate or has no disk layout."""
    command = [*nix_command(_nix(stack)), "eval", "--json"]
    apply = (HERE / "facts.nix").read_text()
    run = subprocess.run(
        [*command, f'.#nixosConfigurations."{attribute}"', "--apply", apply],
        cwd=REPOSITORY, env=stack.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if run.returncode:
        why = "\nA simulated machine has no disks to install on: this is for real stacks." if stack.simulated else ""
        raise OpsError(f"nix could not evaluate {host}, nothing was changed:\n{run.stderr.strip()}{why}")
    layout = Layout.of(json.loads(run.stdout))
    if not layout.disks:
        raise OpsError(
            f"{host} has no disk layout (disko.devices.disk): nothing says how to partition its machine. Fix: "
            "aether.features.disk.enable = true in its Nix file"
        )
    return layout


def the_guest(stack: Stack, name: str, facts: Guest) -> ClusterGuest:
    """The virtual machine that host NAME is. Raises OpsError where the cluster has another one under its VMID, or none."""
    found = guests.cluster_of(stack).get(facts.vmid)
    if found is None:
        raise OpsError(
            f"{name} has no guest {facts.vmid} on the cluster. Fix: its vmid; or have it made: make up STACK={stack.name}"
        )
    if found.kind != "qemu" or found.name != name:
        what = "a container" if found.kind == "lxc" else "a virtual machine"
        raise OpsError(
            f"guest {facts.vmid} is {what} called '{found.name}' on {found.node}, not {name}. Fix: the host's vmid, or its name "
            f"on the cluster: qm set {facts.vmid} --name {name}"
        )
    if TAG not in found.tags and not facts.adopted:
        raise OpsError(
            f"guest {facts.vmid} was not made by Aether. Fix: adopted = true in [hosts.{name}], and it is taken over as it is"
        )
    return found


def look(way: Way, layout: Layout) -> Machine:
    """What the machine at WAY is. Raises OpsError where it lets nobody in."""
    script = (HERE / "look.sh").read_text()
    devices = [device for device in layout.disks.values() if device != LINK]
    try:
        run = subprocess.run(
            way.ssh("sh", "-s", "--", *devices), input=script, capture_output=True, text=True, check=False, timeout=60
        )
    except subprocess.TimeoutExpired:
        raise OpsError(f"{way.address} did not say in a minute what it is. Nothing was changed") from None
    if run.returncode:
        said = (run.stderr.strip().splitlines() or ["no answer"])[-1]
        fix = (
            f"ssh-copy-id -p {way.port} {way.user}@{way.address}" if "Permission denied" in run.stderr else "look at its console"
        )
        raise OpsError(f"{way.user}@{way.address}: {said}. Nothing was changed. Fix: {fix}")
    try:
        return Machine.of(run.stdout)
    except ValueError as error:
        raise OpsError(f"{way.address}: {error}. Fix: a rescue system with lsblk (util-linux 2.33 or newer)") from None


def shown(host: str, address: str, machine: Machine, disks: Mapping[str, Disk], *, keep: bool) -> str:
    """The machine and its disks, for a person who is about to erase some of them."""
    word = "keeps its partitions" if keep else "ERASED"
    marks = {disk.path: f"  <- {word} ({name})" for name, disk in disks.items()}
    lines = [f"  {disk}{marks.get(disk.path, '')}" for disk in machine.disks]
    return "\n".join([f"{host} is to be installed at {address}, on {machine}", *lines])


def without_backup(options: argparse.Namespace, guest: ClusterGuest | None, disks: list[Disk]) -> Iterator[str]:
    """What stands against erasing DISKS without a backup."""
    full = data(disks)
    if guest is None and full and not options.keep and not options.backup:
        what = "\n    ".join(map(str, full))
        yield f"what is on it would be lost:\n    {what}\n  Fix: back it up, and say where the backup is: --backup WHERE"
    if guest is not None and not guest.running:
        yield f"guest {guest.vmid} is stopped. Fix: start it, with a system that answers on SSH"


def agree(host: str, given: str | None, disks: list[Disk], *, keep: bool) -> None:
    """Have the loss of DISKS agreed to, by the host's name. Raises OpsError: nothing was changed."""
    serials = ", ".join(f"{disk.path} ({disk.serial or 'no serial'})" for disk in disks)
    what = f"{host} goes onto the partitions of {serials}" if keep else f"EVERYTHING on {serials} is erased"
    if given is not None:
        if given != host:
            raise OpsError(f"--yes-erase names {given}, and the host is {host}. Nothing was changed.")
        _say(f"{what}: --yes-erase {host}")
        return
    person = trust.terminal()
    if person is None:
        raise OpsError(f"{what}. Nothing was changed: there is no terminal to ask at. Fix, if it is meant: --yes-erase {host}")
    if person(f"{what}. Type {host} to do so: ").strip() != host:
        raise OpsError("Nothing was changed.")


def back_up(stack: Stack, guest: ClusterGuest) -> None:
    """A last backup of what GUEST is, by its node. Raises OpsError: there is none, and nothing was erased."""
    _say(f"Backs up guest {guest.vmid} ({guest.name}) …")
    try:
        guests.on_node(stack, guest.node, guests.script("backup-guest.sh", str(guest.vmid)))
    except OpsError:
        raise OpsError(
            f"guest {guest.vmid} could not be backed up (above); nothing was erased. Fix: a storage that takes backups "
            "(pvesm set STORAGE --content backup,…), or say where there is one: --backup WHERE"
        ) from None


def build_place(facts: NixosHost) -> str:
    """nixos-anywhere's --build-on for a host's build_on."""
    return {"operator": "local", "target": "remote"}.get(facts.build_on, "auto")


def carry_out(
    stack: Stack,
    order: Order,
    way: Way,
    layout: Layout,
    machine: Machine,
    disks: Mapping[str, Disk],
    private: str,
    folder: Path,
    installer_port: int,
) -> None:
    """The installer into the machine's memory, the disks looked at once more from there, then the installation."""
    nix, environment = _nix(stack), stack.environment()
    if not machine.installer:
        anywhere.run(nix, anywhere.arguments(order, way, anywhere.KEXEC), way, environment)
        way = replace(way, port=installer_port, user="root")
    prepare(way, layout, disks)
    tree = files.extra_files(folder, private, path=layout.host_key, store=layout.store)
    anywhere.run(nix, anywhere.arguments(order, way, anywhere.INSTALL, tree), way, environment)


def prepare(way: Way, layout: Layout, disks: Mapping[str, Disk]) -> None:
    """Have the installer's disks be those that were agreed to, and lead the layout's open one to the chosen.

    Raises:
        OpsError: they are others; nothing was erased.
    """
    machine = look(way, layout)
    before = {name: (disk.serial, disk.size) for name, disk in disks.items()}
    now = chosen(machine, layout, next((disk.serial for name, disk in disks.items() if layout.disks[name] == LINK), ""))
    other = [
        name for name, (serial, size) in before.items() if name not in now or (now[name].serial, now[name].size) != (serial, size)
    ]
    if other or any(disk.used for disk in now.values()):
        there = "\n    ".join(map(str, machine.disks))
        why = f"the layout's {', '.join(other)} is not the disk that was agreed to" if other else "a disk is in use there"
        raise OpsError(f"the installer runs at {way.address}, and {why}. Nothing was erased. Its disks:\n    {there}")
    for name, disk in now.items():
        if layout.disks[name] == LINK:
            made = subprocess.run(
                way.ssh(f"mkdir -p {Path(LINK).parent} && ln -sfn {disk.path} {LINK}"),
                capture_output=True,
                text=True,
                check=False,
            )
            if made.returncode:
                raise OpsError(f"{way.address}: {made.stderr.strip()}. Nothing was erased")


def first_contact(config: str, host: str, layout: Layout) -> None:
    """Wait until HOST answers with its pinned key. Raises OpsError."""
    wait = ". Type the disk's passphrase at its console" if layout.encrypted else ""
    _say(f"Installed. Waits until {host} answers with its own key{wait} …")
    deadline = time.monotonic() + FIRST_CONTACT
    while True:
        answer = ask(config, host, "true")
        if answer.returncode == 0:
            return
        if time.monotonic() > deadline:
            said = (answer.stderr.strip().splitlines() or ["no answer"])[-1]
            raise OpsError(
                f"{host} is installed, and does not answer as itself ({said}). Fix: its console; does it start from the new "
                "disk, and has it the address of its inventory entry?"
            )
        time.sleep(3)


def next_step(stack: str, host: str, inventory: Inventory, guest: ClusterGuest | None) -> str:
    """What to do once HOST answers."""
    lines = [f"{host} answers with its own key."]
    if guest is not None and TAG not in guest.tags:
        lines.append(f"Keep adopted = true in [hosts.{host}] of {inventory.path}: the next `up` imports the guest as it is.")
    lines.append(f"Next: make preview STACK={stack}, make up STACK={stack}: from here it is deployed as any host.")
    return "\n".join(lines)


def _key_file(stack: Stack) -> str:
    given = stack.setting("operatorKeyFile")
    return str(REPOSITORY / given) if given else ""


def _nix(stack: Stack) -> str:
    return stack.setting("nix") or str(REPOSITORY / "nix/tools/nix.sh")


def _say(text: str) -> None:
    print(text, flush=True)
