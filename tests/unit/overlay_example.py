"""A staging environment as an overlay of the example inventory."""

from pathlib import Path

from tests.unit.inventory_example import GOOD

NEW = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICZcWj7vLRLuPeIs4LFxY0PFjQPDcOCRXBJRGcOhiU4a"
OVERLAY = f"""\
base = "lab.toml"

[site]
name = "staging"
domain = "staging.lab.example.org"

[overlay]
hosts = ["web"]
shared = ["dns"]
vmid_offset = 800
add_tags = ["staging"]

[networks.servers]
cidr = "192.168.110.0/24"
gateway = "192.168.110.1"
nameservers = ["9.9.9.9"]
vlan = 110

[hosts.web]
host_key = "{NEW}"
memory = 1024
secrets = []
"""


def written(tmp_path: Path, overlay: str = OVERLAY, base: str = GOOD) -> Path:
    (tmp_path / "lab.toml").write_text(base)
    (tmp_path / "staging.toml").write_text(overlay)
    return tmp_path / "staging.toml"
