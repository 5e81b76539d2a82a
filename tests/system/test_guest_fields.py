"""Fields of the table in inventory/effects.py, each changed alone: what the real provider and Proxmox then do is what it says."""

import re
from collections.abc import Callable, Iterator

import pytest

from inventory import effects
from inventory.marks import AtGuest
from tests.system.checkout import Checkout
from tests.system.guests import api, boots, settled, steps
from tests.system.small import deployed

INVENTORY = "inventory/homelab.toml"
TABLES = {**effects.GUEST, **effects.NETWORK}
MORE = """
[networks.storage]
cidr = "10.0.8.0/24"
gateway = "10.0.8.1"
vlan = 8

[networks.lab]
cidr = "192.168.20.0/24"
gateway = "192.168.20.1"
vlan = 20
"""
Edit = Callable[[str], str]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    for checkout in deployed(tmp_path_factory.mktemp("fields")):
        path = checkout.path / INVENTORY
        path.write_text(path.read_text() + MORE)
        yield checkout


def of_hosts(line: str, *names: str) -> Edit:
    """LINE in the entries of NAMES; `{}` in it is the last octet of the host's address."""
    octets = {"web": 10, "dns": 11}

    def edit(text: str) -> str:
        for name in names or octets:
            assert f"[hosts.{name}]\n" in text
            text = text.replace(f"[hosts.{name}]\n", f"[hosts.{name}]\n{line.replace('{}', str(octets[name]))}\n")
        return text

    return edit


def of_network(line: str) -> Edit:
    """LINE in the network that the guests are in, in place of one of the same field."""

    def edit(text: str) -> str:
        start = text.index("[networks.servers]\n")
        end = text.index("\n\n", start)
        field = line.partition(" ")[0]
        entry = re.sub(rf"\n{field} = .*", "", text[start:end])
        return f"{text[:start]}{entry}\n{line}{text[end:]}"

    return edit


def of_node(line: str) -> Edit:
    return lambda text: text.replace("[nodes.pve1]\n", f"[nodes.pve1]\n{line}\n")


def of_cluster(table: str) -> Edit:
    """TABLE at the end of the file."""
    return lambda text: f"{text.rstrip()}\n\n{table}\n"


USB = 'usb = [{ name = "zwave", id = "0658:0200" }]'
PCI = 'pci = [{ name = "gpu", id = "8086:46d1", path = "0000:00:02.0" }]'
# Field, edits; what the machine's and the container's configuration then hold (None: it has no such field).
CASES: tuple[tuple[str, list[Edit], str, str | None], ...] = (
    (
        "interfaces",
        [of_hosts('interfaces = [{ network = "storage", address = "10.0.8.{}" }]')],
        "net1: .*bridge=vmbr0",
        r"net1: .*ip=10\.0\.8\.11/24",
    ),
    ("address6", [of_hosts('address6 = "auto"')], "ipconfig0: .*ip6=auto", "net0: .*ip6=auto"),
    ("mtu", [of_network("mtu = 1400")], "net0: .*mtu=1400", "net0: .*mtu=1400"),
    (
        "gateway",
        [of_network('gateway = "192.168.10.254"')],
        r"ipconfig0: .*gw=192\.168\.10\.254",
        r"net0: .*gw=192\.168\.10\.254",
    ),
    ("vlan", [of_network("vlan = 30")], "net0: .*tag=30", "net0: .*tag=30"),
    ("bridge", [of_network('bridge = "vmbr1"')], "net0: .*bridge=vmbr1", "net0: .*bridge=vmbr1"),
    (
        "zone",
        [of_network('zone = "lan"'), of_network('bridge = "lanet"'), of_cluster('[zones.lan]\ntype = "vlan"\nbridge = "vmbr0"')],
        "net0: (?!.*tag=).*bridge=lanet(?!.*tag=)",
        "net0: (?!.*tag=).*bridge=lanet(?!.*tag=)",
    ),
    ("firewall", [of_hosts("firewall = true")], "net0: .*firewall=1", "net0: .*firewall=1"),
    # With `firewall`, without which it says nothing.
    ("open", [of_hosts('open = [{ port = 9100, purpose = "metrics" }]')], "", ""),
    ("usb", [of_node(USB), of_hosts('usb = ["zwave"]', "web")], "usb0: mapping=pve1-usb-zwave", None),
    ("pci", [of_node(PCI), of_hosts('pci = ["gpu"]', "web")], "hostpci0: .*mapping=pve1-pci-gpu", None),
)


def change(fleet: Checkout, *edits: Edit) -> None:
    path = fleet.path / INVENTORY
    text = path.read_text()
    for edit in edits:
        text = edit(text)
    path.write_text(text)
    # The simulated cluster's token gets the rights of the inventory that is there when it starts.
    assert fleet.sim("restart", "--stack", "sim").code == 0


@pytest.mark.long
@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_the_field_alone_does_what_the_table_says(fleet: Checkout, case: tuple[str, list[Edit], str, str | None]) -> None:
    field, edits, *expected = case
    change(fleet, *edits)
    before = boots(fleet)
    replaced = [name for name, (_, kinds) in steps(fleet).items() if any("replace" in kind for kind in kinds.values())]
    assert not [name for name in replaced if name.startswith(("VmLegacy::", "ContainerLegacy::"))], replaced
    up = fleet.up()
    assert up.code == 0, up.text[-4000:]
    for host, tool, vmid, index in (("web", "qm", 110, 0), ("dns", "pct", 111, 1)):
        wanted = expected[index]
        if wanted is None:
            assert TABLES[field][index] is None
            continue
        config = fleet.ssh("pve1", f"{tool} config {vmid}").text
        assert re.search(f"^{wanted}", config, re.MULTILINE), config
        waits = re.findall("^(?:new|del) .*", fleet.ssh("pve1", f"{tool} pending {vmid}").text, re.MULTILINE)
        assert TABLES[field][index] == (AtGuest.PENDING if waits else AtGuest.UPDATE), waits
        if waits:
            assert fleet.ops("reboot", host).code == 0
            before[host] = boots(fleet)[host]
    assert boots(fleet) == before
    assert settled(fleet)
    if field == "open":
        rules = [item for item in fleet.resources() if item["type"].endswith("RulesLegacy")]
        assert len(rules) == 2 and all("9100" in str(item["outputs"]["rules"]) for item in rules), rules


@pytest.mark.long
def test_a_network_in_another_zone_is_applied_to_the_nodes(fleet: Checkout) -> None:
    """Its `zone` alone, after the case of the table: the VNet changes in place, and the nodes are told."""
    change(fleet, of_network('zone = "other"'), of_cluster('[zones.other]\ntype = "vlan"\nbridge = "vmbr1"'))
    up = fleet.up()
    assert up.code == 0, up.text[-4000:]
    # Both zones are there and applied: what the way back has to apply is the VNet's alone.
    change(fleet, of_network('zone = "lan"'))
    before = boots(fleet)
    told = applications(fleet)
    found = {name: kinds for name, (_, kinds) in steps(fleet).items()}
    assert [name for name in found if name.startswith("Vnet::")] and not [name for name in found if "Legacy::" in name], found
    up = fleet.up()
    assert up.code == 0, up.text[-4000:]
    assert applications(fleet) == told + 1, "Proxmox writes no VNet to a node before it is told to"
    assert api(fleet).cluster.sdn.vnets("lanet").get()["zone"] == "lan"
    assert boots(fleet) == before
    assert settled(fleet)


def applications(checkout: Checkout) -> int:
    """How often the cluster wrote its SDN to the nodes."""
    return sum(task["type"] == "reloadnetworkall" for task in api(checkout).nodes("pve1").tasks.get(limit=500))


def test_a_new_address_and_network_reach_guests_that_run(fleet: Checkout) -> None:
    """Their systems own their addresses, and are deployed over the network."""
    for host, last in (("web", 10), ("dns", 11)):
        change(
            fleet,
            of_hosts('network = "lab"', host),
            lambda text, last=last: text.replace(f'address = "192.168.10.{last}"', f'address = "192.168.20.{last}"'),  # type: ignore[misc]
        )
    before = boots_by_node(fleet)
    preview = fleet.preview()
    assert preview.code == 0, preview.text
    up = fleet.up()
    assert up.code == 0, up.text
    assert "guest 110: is given 192.168.20.10/24, until its system has it" in up.text, up.text
    assert "guest 111" not in up.text, "Proxmox changes a container's while it runs"
    assert re.search(r"ip=192\.168\.20\.10/24", fleet.ssh("pve1", "qm config 110").text)
    for host in ("web", "dns"):
        assert fleet.ssh(host, "hostname").text.strip() == host
    assert boots_by_node(fleet) == before
    assert {effects.GUEST[field] for field in ("address", "network")} == {(AtGuest.UPDATE, AtGuest.UPDATE)}
    assert settled(fleet)


def boots_by_node(checkout: Checkout) -> list[str]:
    """Boot ids of web and dns, by their node: they are at another address than the inventory's."""
    read = "/bin/cat /proc/sys/kernel/random/boot_id"
    machine = checkout.ssh("pve1", f"qm guest exec 110 -- {read}").text
    return [*re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", machine), checkout.ssh("pve1", f"pct exec 111 -- {read}").text.strip()]
