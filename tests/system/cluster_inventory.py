"""The small fleet with SDN, firewall, backups and high availability."""

from tests.system import small

EXTRA = """
[zones.lab]
type = "vlan"
bridge = "vmbr1"
nodes = ["pve1", "pve2"]

[networks.storage]
cidr = "10.0.8.0/24"
gateway = "10.0.8.1"
zone = "lab"
bridge = "storage"
vlan = 8
mtu = 9000

[networks.guests]
cidr = "10.0.9.0/24"
gateway = "10.0.9.1"
vlan = 1
dhcp = true

[services.wiki]
host = "web"
port = 8080

[backups.nightly]
storage = "pbs"
schedule = "02:30"
keep = { daily = 7, weekly = 4 }
mailto = ["owner@example.org"]

[backups.hourly]
storage = "pbs"
schedule = "*:00"
keep = { last = 24 }
hosts = ["dns"]

[availability.core]
hosts = ["web", "dns"]
nodes = ["pve1", "pve2"]
"""
WEB = """\
address6 = "fd00:10::10"
interfaces = [{ network = "storage", address = "10.0.8.10" }, { network = "guests", address6 = "auto" }]
cpu_type = "x86-64-v2-AES"
numa = true
balloon = 256
pool = "edge/web"
firewall = true
open = [{ port = 9100, purpose = "metrics", cidrs = ["192.168.10.12/32"] }]
"""
DNS = 'address6 = "auto"\ninterfaces = [{ network = "storage", address = "10.0.8.11" }]\n'
# It asks for its address.
LOG = 'dhcp = true\nmac = "02:00:c0:a8:0a:0c"\n'


def inventory() -> str:
    """The small fleet with everything that this is about."""
    text = small.inventory()
    for vmid, more in ((110, WEB), (111, DNS), (112, f"disposable = true\n{LOG}")):
        text = text.replace(f"vmid = {vmid}\n", f"vmid = {vmid}\n{more}")
    servers = 'dhcp = true\nbridge = "vmbr0"\ncidr6 = "fd00:10::/64"\ngateway6 = "fd00:10::1"\n'
    return text.replace("[networks.servers]\n", f"[networks.servers]\n{servers}") + EXTRA
