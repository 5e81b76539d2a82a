"""Guests that stand on the cluster and not in the inventory: shown, and written into it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from inventory.load import Inventory
from ops.adopted import KINDS, WORDS, Found, Given, entry, inside
from ops.arguments import parser
from ops.examine import Api, connect
from ops.fleet import change_inventory, inventory_of
from ops.guests import configuration
from ops.stack import OpsError, Stack
from stacks.cluster import SCRATCH, ClusterGuest
from stacks.leases import addresses


def adopt(stack: Stack, arguments: list[str]) -> int:
    """Show the cluster's guests that the inventory lacks; of those named, print the entry, or write it. Of a stack at AWS: the
    Elastic IPs and the zone that its inventory lacks, with the lines to write.

    A guest that runs NixOS gets an entry with all that the cluster knows of it, and `adopted = true`: the next `up` imports it
    as it is. Any other is `external`, which is in DNS, monitoring and the picture of the fleet and never touched, or, told so,
    `ansible`. Nothing on the cluster is changed by this command.
    """
    if inventory_of(stack).cloud is not None:
        from ops.adopt_cloud import adopt_cloud

        return adopt_cloud(stack, arguments)
    options = parser("adopt", adopt)
    options.add_argument("vmid", nargs="*", type=int, help="guests to adopt; none: list them")
    options.add_argument(
        "--as", action="append", default=[], dest="kinds", metavar="[VMID=]KIND",
        help=f"{', '.join(KINDS)}: what all that are named become, or the one of this VMID; default: what the list says",
    )  # fmt: skip
    options.add_argument("--address", help="IPv4 address, where one guest is named and Proxmox does not know it")
    options.add_argument(
        "--host-key",
        metavar="LINE",
        help="its SSH host key, of one guest; default: asked of the guest, by its node's pinned connection",
    )
    options.add_argument("--playbook", metavar="FILE", help="playbook under ansible/, for what becomes ansible")
    options.add_argument("--write", action="store_true", help="append the entries to the inventory file")
    chosen = options.parse_args(arguments)
    inventory = inventory_of(stack)
    settings = {key.removeprefix("aether:"): str(value) for key, value in configuration(stack).items()}
    found = unknown(inventory, connect(stack.name, settings))
    if not chosen.vmid:
        print(listing(found, inventory.path, stack.name))
        return 0
    for option, value in (("--address", chosen.address), ("--host-key", chosen.host_key)):
        if value and len(chosen.vmid) != 1:
            raise OpsError(f"{option} goes with one VMID")
    known = {item.guest.vmid: item for item in found}
    for vmid in chosen.vmid:
        if vmid not in known:
            raise OpsError(f"{vmid} is no guest that the inventory lacks. Those are: {', '.join(map(str, known)) or 'none'}")
    kinds = wanted_kinds(chosen.kinds, [known[vmid] for vmid in chosen.vmid])
    given = Given(address=chosen.address, host_key=chosen.host_key, playbook=chosen.playbook)
    entries = [entry(known[vmid], inventory, kinds[vmid], given, lambda guest: inside(stack, guest)) for vmid in chosen.vmid]
    text = "\n".join(entries)
    if not chosen.write:
        print(text)
        return 0
    append(inventory.path, text)
    print(written(inventory.path, text, stack.name, ours=any(kind.startswith("nixos-") for kind in kinds.values())))
    return 0


def wanted_kinds(words: Sequence[str], chosen: Sequence[Found]) -> dict[int, str]:
    """The kind of each guest that was CHOSEN, by VMID; WORDS are what `--as` was given.

    Raises:
        OpsError: a word is no kind, or names another guest.
    """
    kinds = {item.guest.vmid: item.kind for item in chosen}
    # One for all first, whatever the order: a VMID's own word counts more.
    for word in sorted(words, key=lambda word: "=" in word):
        vmid, _, kind = word.rpartition("=")
        if kind not in KINDS or (vmid and not (vmid.isdigit() and int(vmid) in kinds)):
            raise OpsError(f"--as {word}: write one of {', '.join(KINDS)}, or VMID=KIND with a VMID that is adopted")
        kinds |= {int(vmid): kind} if vmid else dict.fromkeys(kinds, kind)
    return kinds


def unknown(inventory: Inventory, api: Api) -> list[Found]:
    """Guests that no host of the INVENTORY is, by VMID or address; retired ones of Aether's own are left out."""
    vmids = {host.vmid for host in inventory.guests().values()}
    taken = {host.address for host in inventory.hosts.values()}
    found = []
    for item in sorted(api("/cluster/resources?type=vm"), key=lambda item: int(item["vmid"])):
        guest = ClusterGuest.of(item)
        if guest.vmid in vmids or {"aether", SCRATCH} & guest.tags:
            continue
        described = _described(guest, bool(item.get("template")), api)
        if not described.address or described.address not in taken:
            found.append(described)
    return found


def _described(guest: ClusterGuest, template: bool, api: Api) -> Found:
    place = f"/nodes/{guest.node}/{guest.kind}/{guest.vmid}"
    config = api(f"{place}/config")

    def says(what: str) -> Any:
        """What a running guest says of itself; nothing where it has no agent, or the token may not ask it."""
        try:
            return api(f"{place}/{what}") if guest.running else None
        except OpsError:
            return None

    if guest.kind == "lxc":
        address = next(_addresses(config, addresses(says("interfaces") or ())), "")
        return Found(guest, address, template, str(config.get("ostype", "")), config)
    cards = (says("agent/network-get-interfaces") or {}).get("result") or ()
    system = str(((says("agent/get-osinfo") or {}).get("result") or {}).get("id", ""))
    mounts = _mounts((says("agent/get-fsinfo") or {}).get("result") or ())
    return Found(guest, next(_addresses(config, addresses(cards)), ""), template, system, config, mounts)


def _addresses(config: Mapping[str, Any], dynamic: Iterator[str]) -> Iterator[str]:
    """IPv4 addresses: the first card's by the configuration, those that the guest has by itself, those of further cards."""
    static = {
        key: re.findall(r"(?:^|,)ip=(\d+\.\d+\.\d+\.\d+)", str(config[key]))
        for key in sorted(config)
        if re.fullmatch(r"(ipconfig|net)\d+", key)
    }
    first = [address for key in ("ipconfig0", "net0") for address in static.pop(key, ())]
    further = [address for found in static.values() for address in found]
    yield from first
    yield from (address for address in dynamic if address not in further)
    yield from further


def _mounts(filesystems: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Mount point of each disk that can be told by its serial number: QEMU's default is `drive-` and Proxmox's name."""
    found: dict[str, str] = {}
    # The shortest: what is mounted below it, or bound elsewhere, is a part of it.
    for item in sorted(filesystems, key=lambda item: len(str(item.get("mountpoint", ""))), reverse=True):
        for disk in item.get("disk") or ():
            if named := re.search(r"drive-([a-z]+\d+)$", str(disk.get("serial", ""))):
                found[named[1]] = str(item["mountpoint"])
    return found


def listing(found: list[Found], path: Path, stack: str) -> str:
    """What a person reads: a line a guest, and what to do next."""
    if not found:
        return f"Every guest of the cluster is in {path}."
    lines = [f"On the cluster, and not in {path}:"]
    for item in found:
        guest = item.guest
        what = "template" if item.template else WORDS[guest.kind]
        state = "running" if guest.running else "stopped"
        becomes = "-" if item.template else item.kind
        lines.append(
            f"  {guest.vmid:>9}  {what:15}  {guest.name:24}  {guest.node:12}  {state:8}  {item.address or '?':15}  "
            f"{item.system or '?':10}  {becomes}"
        )
    return "\n".join(
        [
            *lines,
            "",
            f"Next: ./aether --stack {stack} adopt VMID … [--as [VMID=]KIND] [--write]. The last column is the kind that each "
            "becomes without --as. Nothing of them is changed by it.",
        ]
    )


def append(path: Path, text: str) -> None:
    """Add TEXT to an inventory file; where it would not be right with it, OpsError, and it stays as it was."""
    change_inventory(path, lambda draft: draft.write_text(f"{draft.read_text().rstrip()}\n\n{text}"))


def written(path: Path, text: str, stack: str, *, ours: bool) -> str:
    """What was done, and what is next; OURS: a NixOS guest is among them."""
    names = re.findall(r"^\[hosts\.(.*)\]$", text, re.MULTILINE)
    lines = [f"Written to {path}: {', '.join(names)}. Look at it, then: make preview STACK={stack}"]
    if ours:
        lines += [
            "Before the first `up`, which imports them and deploys their system:",
            "  - nix/hosts/NODE/NAME.nix of each is the system that it runs now; with a disk layout of its own: "
            'aether.disks.layout = "none"',
            f"  - ./aether --stack {stack} proxmox role --update: rights that the token lacks for them, if any",
        ]
    return "\n".join(lines)
