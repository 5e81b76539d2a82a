"""One change of the good inventory for each kind of error, and what must be said of it."""

from pathlib import Path

import pytest

from inventory.load import InventoryError, Problem, load
from tests.unit.inventory_example import AGES, GOOD, KEYS, SITE

# An id of Syncthing's own tests.
DEVICE = "P56IOI7-MZJNU2Y-IQGDREY-DM2MGTI-MGL3BXN-PQ6W5BM-TBBZ4TJ-XZWICQ2"
# What is replaced in GOOD, by what; then code, place and a piece of the fix of the error that must come of it.
CASES = [
    ("[hosts.dns]", "[hosts.web]", "declared-twice", "hosts.web", "another name"),
    ("vmid = 111", "vmid = ", "not-toml", "hosts.dns", "correct this line: vmid ="),
    ("vmid = 111", "vmid = 111\nvmid = 112", "not-toml", "hosts.dns", "remove one of the two"),
    ("[rollout]", "[rolout]", "unknown-table", "rolout", "rename it"),
    (SITE, "", "missing-table", "site", "[site]"),
    ("[hosts.dns]", "[hosts.DNS_1]", "bad-name", "hosts.DNS_1", "lower-case"),
    ("memory = 512", "memroy = 512", "unknown-field", "hosts.dns.memroy", "write memory = 512"),
    ("{ size = 8 }", "{ sise = 8 }", "unknown-field", "hosts.dns.disks[0].sise", "write size = 8"),
    ("vmid = 111\n", "", "missing-field", "hosts.dns.vmid", "write vmid = "),
    ("cpu = 1\n", 'cpu = "1"\n', "wrong-type", "hosts.dns.cpu", "write cpu = 1"),
    ('depends_on = ["dns"]', 'depends_on = "dns"', "wrong-type", "hosts.web.depends_on", 'write depends_on = ["dns"]'),
    ("port = 8081", "port = 8081\npublic = 1", "wrong-type", "services.wiki.public", "write public = true"),
    ('"nixos-lxc"', '"nixos-lcx"', "unsupported-kind", "hosts.dns.kind", 'write kind = "nixos-lxc"'),
    ('kind = "nixos-lxc"\n', "", "missing-field", "hosts.dns.kind", "write kind = one of"),
    ("port = 8081", 'port = 8081\nlogin = "oicd"', "unsupported-value", "services.wiki.login", 'write login = "oidc"'),
    ("vmid = 111", "vmid = 11", "out-of-range", "hosts.dns.vmid", "write vmid = 100"),
    ('"192.168.10.20"\ncpu', '"192.168.10.256"\ncpu', "bad-format", "hosts.dns.address", "four numbers"),
    ('"192.168.10.0/24"', '"192.168.10.7/24"', "bad-format", "networks.servers.cidr", "192.168.10.0/24"),
    ("example/desk", "example/desk:latest", "bad-format", "hosts.desk.image", "without tag"),
    (f'"{KEYS[3]}"', '"ssh-ed25519 AAAAC3Nza"', "bad-format", "hosts.dns.host_key", "paste the whole line"),
    (AGES[2], AGES[2][:-1] + "q", "bad-format", "hosts.web.age_recipient", "copy it again"),
    ("Europe/Berlin", "berlin", "bad-format", "site.timezone", "Europe/Berlin"),
    ("0658:0200", "658:200", "bad-format", "nodes.metal.usb[0].id", "vendor:product"),
    ("caddy.service", "caddy", "bad-format", "hosts.web.health[0].unit", "with its suffix"),
    ("disks = [{ size = 8 }]", "disks = []", "empty", "hosts.dns.disks", "write disks = ["),
    ("{ tcp = 53 }", "{ udp = 53 }", "bad-check", "hosts.dns.health[0]", "{ tcp = 443 }"),
    ('"ada@desk" }', '"ada@desk" }\nwindow = "Sun 03:00"', "contradiction", "hosts.desk.window", 'window = "Sun 03:00"'),
    ("[nodes.metal]", "[nodes.web]", "duplicate-name", "hosts.web", "rename one"),
    ('"192.168.10.30"', '"192.168.10.10"', "duplicate-address", "hosts.talos.address", "free address"),
    ('network = "clients"', 'network = "clients"\nmac = "00:00:5E:00:53:0A"', "bad-format", "hosts.desk.mac", "lower case"),
    ('network = "clients"', 'network = "clients"\nmac = "01:00:5e:00:53:0a"', "bad-format", "hosts.desk.mac", "in lower case"),
    ("vmid = 111", 'vmid = 111\nmac = "00-00-5e-00-53-0a"', "bad-format", "hosts.dns.mac", "in lower case"),
    ("vmid = 111", 'vmid = 111\ndhcp = true\nmac = "00:00:5e:00:53:0a"', "dhcp-missing", "hosts.dns.dhcp", "[networks.servers]"),
    ("vmid = 111", f'vmid = 111\nsyncthing_id = "{DEVICE[:-1]}3"', "bad-format", "hosts.dns.syncthing_id", "Show ID"),
    ("vmid = 111", f'vmid = 111\nsyncthing_id = "{DEVICE[8:]}"', "bad-format", "hosts.dns.syncthing_id", "eight groups"),
    ("vlan = 20", "vlan = 20\ndhcp = true", "mac-missing", "hosts.desk.mac", "link/ether"),
    ("vmid = 110", "vmid = 110\nballoon = 4096", "balloon-too-large", "hosts.web.balloon", "balloon = 1024"),
    ("vmid = 110", 'vmid = 110\ninterfaces = [{ network = "clients" }]', "address-missing", "hosts.web.interfaces[0]", "20.0/24"),
    (
        "vmid = 110",
        'vmid = 110\ninterfaces = [{ network = "servers", address = "192.168.10.77" }]',
        "interface-doubled",
        "hosts.web.interfaces",
        "remove one",
    ),
    ("vmid = 110", 'vmid = 110\naddress6 = "fd00::10"', "address-outside", "hosts.web.address6", 'address6 = "auto"'),
    ("vmid = 110", 'vmid = 110\naddress6 = "fd00:10"', "bad-format", "hosts.web.address6", "fd00:10::10"),
    ("vlan = 20", 'vlan = 20\nzone = "lab"\nbridge = "clients"', "unknown-zone", "networks.clients.zone", "[zones.lab]"),
    (
        "vlan = 20",
        'vlan = 20\nzone = "lab"\n[zones.lab]\ntype = "vlan"\nbridge = "vmbr1"',
        "vnet-is-bridge",
        "networks.clients.bridge",
        'bridge = "clients"',
    ),
    (
        "vlan = 20",
        'vlan = 20\nzone = "lab"\nbridge = "vmbr1"\n[zones.lab]\ntype = "vlan"\nbridge = "vmbr1"',
        "vnet-is-bridge",
        "networks.clients.bridge",
        'bridge = "clients"',
    ),
    (
        "vlan = 20",
        'vlan = 20\nzone = "lab"\nbridge = "lan"\n[networks.more]\ncidr = "10.9.0.0/24"\ngateway = "10.9.0.1"\nvlan = 9\n'
        'zone = "lab"\nbridge = "lan"\n[zones.lab]\ntype = "vlan"\nbridge = "vmbr0"',
        "vnet-doubled",
        "networks.more.bridge",
        'bridge = "more"',
    ),
    (
        "vlan = 20",
        'vlan = 20\nzone = "lab"\nbridge = "all-clients"\n[zones.lab]\ntype = "vlan"\nbridge = "vmbr0"',
        "sdn-id",
        "networks.clients.bridge",
        'bridge = "servers"',
    ),
    (
        "vlan = 20",
        'zone = "lab"\nbridge = "clients"\nvlan = 0\n[zones.lab]\ntype = "vlan"\nbridge = "vmbr0"',
        "vlan-missing",
        "networks.clients.vlan",
        "write vlan",
    ),
    (
        "vlan = 20",
        'vlan = 20\nzone = "lab"\nbridge = "clients"\n[zones.lab]\ntype = "simple"',
        "vlan-surplus",
        "networks.clients.vlan",
        "remove the line",
    ),
    ("[rollout]", '[zones.lab]\ntype = "vlan"\n[rollout]', "contradiction", "zones.lab.bridge", 'bridge = "vmbr0"'),
    (
        "[rollout]",
        '[availability.core]\nhosts = ["dns"]\nnodes = ["metal", "steel"]\n[rollout]',
        "unknown-node",
        "availability.core.nodes",
        "metal",
    ),
    (
        "[rollout]",
        '[availability.core]\nhosts = ["web"]\nnodes = ["metal", "metal"]\n[rollout]',
        "ha-device",
        "availability.core.hosts",
        "remove 'web'",
    ),
    (
        "[rollout]",
        '[backups.all]\nstorage = "pbs"\nschedule = "02:00"\nkeep = { daily = 7 }\nhosts = ["desk"]\n[rollout]',
        "unknown-host",
        "backups.all.hosts",
        "virtual machines and containers",
    ),
    (
        "[rollout]",
        '[backups.all]\nstorage = "pbs"\nschedule = "02:00"\nkeep = {}\n[rollout]',
        "bad-format",
        "backups.all.keep",
        "daily = 7",
    ),
    ("vmid = 111", "vmid = 110", "duplicate-vmid", "hosts.dns.vmid", "write a VMID"),
    (KEYS[4], KEYS[3], "duplicate-host-key", "hosts.desk.host_key", "secrets rotate desk"),
    ("[hosts.desk]", "[hosts.localhost]", "reserved-name", "hosts.localhost", "another name"),
    ("vlan = 20", "", "duplicate-vlan", "networks.clients.vlan", "free VLAN"),
    ('"192.168.20.0/24"', '"192.168.0.0/16"', "overlapping-networks", "networks.clients.cidr", "free range"),
    ('["ingress"]', '["ingress", "ingress"]', "listed-twice", "hosts.web.tags", "remove one 'ingress'"),
    ('"0658:0200" }', '"0658:0200" }, { name = "zwave", id = "0658:0201" }', "duplicate-usb", "nodes.metal.usb", "own"),
    ('"192.168.10.30"', '"192.168.20.30"', "address-outside", "hosts.talos.address", 'network = "clients"'),
    ('"192.168.10.5"', '"192.168.99.5"', "address-outside", "nodes.metal.address", "192.168.10.0/24"),
    ('"192.168.10.30"', '"192.168.10.0"', "address-is-network", "hosts.talos.address", "192.168.10.11"),
    ('"192.168.10.30"', '"192.168.10.255"', "address-is-broadcast", "hosts.talos.address", "192.168.10.11"),
    ('"192.168.10.30"', '"192.168.10.1"', "address-is-gateway", "hosts.talos.address", 'tags = ["router"]'),
    ('"192.168.20.1"', '"192.168.21.1"', "gateway-outside", "networks.clients.gateway", 'gateway = "192.168.20.1"'),
    ('["192.168.10.20",', '["192.168.10.99",', "unknown-nameserver", "networks.servers.nameservers", "serves DNS"),
    ('"clients"', '"client"', "unknown-network", "hosts.desk.network", "one of clients, servers"),
    ('node = "metal"\nvmid = 111', 'node = "mettle"\nvmid = 111', "unknown-node", "hosts.dns.node", "one of metal"),
    ("memory = 2048", "memory = 12288", "memory-overcommitted", "nodes.metal.memory", "memory = 11776 in [hosts.web]"),
    ("memory = 16384", "memory = 16384\nreserve = 16384", "reserve-too-large", "nodes.metal.reserve", "reserve = 4096"),
    ("cpu = 2\n", "cpu = 5\n", "cpu-too-many", "hosts.web.cpu", "write cpu = 4"),
    ("cpu = 4\n", "cpu = 0\n", "out-of-range", "nodes.metal.cpu", "write cpu = 1"),
    ("memory = 512", "memory = 16", "out-of-range", "hosts.dns.memory", "write memory = 16384 for 16 GiB"),
    ('usb = ["zwave"]', 'pci = ["gpu"]', "unknown-pci", "hosts.web.pci", '{ name = "gpu"'),
    ('usb = ["zwave"]', 'usb = ["zigbee"]', "unknown-usb", "hosts.web.usb", '{ name = "zigbee"'),
    ("start_order = 1", "start_order = 3", "start-order", "hosts.web.start_order", "[hosts.dns]"),
    ("{ size = 8 }", '{ size = 8, mount = "/srv" }', "disk-mount", "hosts.dns.disks[0]", "remove mount"),
    ("{ size = 32 }", '{ size = 32, interface = "sata0" }', "disk-interface", "hosts.web.disks[0]", "remove interface there"),
    (', mount = "/srv" }', " }", "disk-mount", "hosts.web.disks[1]", 'mount = "/srv/web"'),
    ('"/srv" }', '"/srv" }, { size = 9, mount = "/srv" }', "duplicate-mount", "hosts.web.disks[2]", "another mount"),
    ('["dns"]', '["dsn"]', "unknown-dependency", "hosts.web.depends_on", "[hosts.dsn]"),
    ('["dns"]', '["metal"]', "unknown-dependency", "hosts.web.depends_on", "remove 'metal'"),
    ('["dns"]', '["web"]', "depends-on-itself", "hosts.web.depends_on", "remove 'web'"),
    ("start_order = 1", 'depends_on = ["web"]', "dependency-cycle", "hosts.web.depends_on", "remove 'web' from"),
    ("vmid = 111", 'vmid = 111\nbuild_on = "wep"', "unknown-builder", "hosts.dns.build_on", '"operator"'),
    ("vmid = 111", 'vmid = 111\nbuild_on = "desk"', "unknown-builder", "hosts.dns.build_on", "one of dns, operator"),
    ("vmid = 111", 'vmid = 111\nssh_user = "ada"', "ssh-user", "hosts.dns.ssh_user", 'ssh_user = "deploy"'),
    ("vmid = 111", 'vmid = 111\nssh_user = "deploy"\nbuild_on = "target"', "ssh-user", "hosts.dns.build_on", '"operator"'),
    (
        "vmid = 111",
        'vmid = 111\nssh_user = "deploy"\nhome = { configuration = "ada@dns" }',
        "ssh-user",
        "hosts.dns.ssh_user",
        "home",
    ),
    (
        "[hosts.dns]\n",
        '[hosts.other]\nkind = "nixos-metal"\naddress = "192.168.10.77"\nbuild_on = "dns"\n'
        f'host_key = "{KEYS[5]}"\n[hosts.dns]\nssh_user = "deploy"\n',
        "ssh-user",
        "hosts.other.build_on",
        "remove ssh_user of [hosts.dns]",
    ),
    ('home = { configuration = "ada@desk" }', 'ssh_user = "deploy"', "ssh-user", "hosts.desk.ssh_user", "remove the line"),
    ("cpu = 4\n", 'cpu = 4\nssh_user = "deploy"\n', "unsupported-value", "nodes.metal.ssh_user", "root"),
    ("{ tcp = 6443 }", '{ unit = "x.service" }', "check-needs-login", "hosts.talos.health[0]", "tcp or http"),
    ("ada@desk", "bob@desk", "home-user", "hosts.desk.home.configuration", "ada@desk"),
    ("ada@desk", "ada@dest", "home-host", "hosts.desk.home.configuration", "ada@desk"),
    ("[rollout]", '[cache]\npush = "file:///srv/cache"\n[rollout]', "contradiction", "cache.pull", 'pull = "http://'),
    ("[rollout]", '[cache]\npush = "nfs://cache"\n[rollout]', "bad-format", "cache.push", 'push = "s3://'),
    ("[rollout]", '[cache]\npull = "https://cache.example.org"\n[rollout]', "missing-field", "cache.push", 'push = "s3://'),
    ("[rollout]", "[builders.wep]\njobs = 2\n[rollout]", "unknown-builder", "builders.wep", "one of desk, dns, web"),
    ("[rollout]", '[builders.web]\nsystems = ["x86"]\n[rollout]', "bad-format", "builders.web.systems[0]", "x86_64-linux"),
    ("[rollout]", "[builders.web]\njobs = 0\n[rollout]", "out-of-range", "builders.web.jobs", "jobs = 1"),
    ('canary = "dns"', "", "canary-missing", "rollout.canary", "write canary"),
    ('strategy = "canary"', 'strategy = "all"', "canary-unused", "rollout.canary", "remove it"),
    ('strategy = "canary"\ncanary = "dns"', 'strategy = "waves"', "canary-missing", "rollout.canary", "write canary"),
    ('canary = "dns"', 'canary = "dns"\nsoak = 60', "soak-unused", "rollout.soak", 'strategy = "waves"'),
    ('canary = "dns"', 'canary = "dns"\nbatch = "a few"', "bad-format", "rollout.batch", 'batch = "25%"'),
    ('canary = "dns"', 'canary = "dns"\nbatch = "0%"', "bad-format", "rollout.batch", 'batch = "25%"'),
    ('canary = "dns"', 'canary = "dns"\nbatch = 0', "bad-format", "rollout.batch", "write batch = 2"),
    ('canary = "dns"', 'canary = "talos"', "unknown-canary", "rollout.canary", "one of "),
    ('canary = "dns"', 'canary = ["dns", "talos"]', "unknown-canary", "rollout.canary", "one of "),
    ('host = "web"\nport = 8081', 'host = "wep"\nport = 8081', "unknown-service-host", "services.wiki.host", "a host"),
    ("port = 8081", "port = 8080", "duplicate-port", "services.wiki.port", "listens on"),
    ("port = 8081", 'port = 8081\nsubdomain = "files"', "duplicate-subdomain", "services.wiki.subdomain", "wiki-2"),
    ("[services.wiki]", "[services.dns]", "subdomain-is-host", "services.dns.subdomain", "dns-web"),
    ("http://{address}:8080/", "http://{address}:80800/", "bad-format", "hosts.web.health[1].http", "8443"),
    ("{address}", "{addres}", "unknown-placeholder", "hosts.web.health[1].http", "{address}"),
    ("http://{address}", "https://{address}", "check-contradicts", "hosts.web.health[1].http", "http://{address}"),
    ("start_order = 1", 'secrets = ["hosts/dns.yaml"]', "recipient-missing", "hosts.dns.age_recipient", AGES[3]),
    (AGES[2], AGES[3], "recipient-mismatch", "hosts.web.age_recipient", AGES[2]),
    ('["ingress"]', '["relaxed"]', "exclusive-security", "hosts.web.tags", 'security = "relaxed"'),
    ('"ada@desk" }', '"ada@desk" }\ntags = ["relaxed", "hardened"]', "exclusive-security", "hosts.desk.tags", "remove"),
]
CLOUD = f"""{SITE.replace('"lab"', '"sky"')}
[cloud]
gateway = "edge"
availability_zone = "eu-central-1a"
budget = 5
budget_email = "ada@example.org"
[image]
owner = "ada"
repository = "image"
images = ["desk"]
hosts = "sky.toml"
[networks.public]
cidr = "192.168.90.0/24"
gateway = "192.168.90.1"
[hosts.edge]
kind = "cloud-vm"
os = "amazon-linux"
network = "public"
address = "192.168.90.10"
region = "eu-central-1"
instance_type = "t4g.micro"
ami = "ami-0123456789abcdef0"
playbook = "public-gateway.yml"
host_key = "{KEYS[5]}"
[hosts.forge]
kind = "cloud-vm"
os = "nixos"
network = "public"
address = "192.168.90.11"
region = "eu-central-1"  # as well
instance_type = "t4g.micro"
ami = "ami-0123456789abcdef0"
ami_name = "nixos/25.11.1-aarch64-linux"
host_key = "{KEYS[4]}"
"""
# What follows from a slip in earnest and is reported too; nobody else is blamed for it.
FOLLOW = {
    "declared-twice": {"unknown-dependency", "unknown-canary", "unknown-nameserver"},
    "bad-name": {"unknown-dependency", "unknown-canary"},
    "duplicate-name": {"unknown-node"},
    "reserved-name": {"home-host"},
    "overlapping-networks": {"gateway-outside"},
    "dependency-cycle": {"start-order"},
    "recipient-missing": {"start-order"},
    "missing-field": {"unknown-canary"},
}


def problems_of(tmp_path: Path, text: str) -> list[Problem]:
    path = tmp_path / "lab.toml"
    path.write_text(text)
    with pytest.raises(InventoryError) as raised:
        load(path)
    return raised.value.problems


def edited(*changes: tuple[str, str]) -> str:
    text = GOOD
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text
