"""What is in a cloud: its machines, a class for each way one is made, and the account around them."""

import re
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from inventory.base import Facts
from inventory.hosts import ManagedHost, NixosHost, Opening
from inventory.types import AllocationId, AmiId, Cidr, Fqdn, Gibibytes, HostName, Port

# Instance types with an ARM processor of Amazon's: t4g.small, c7gn.large.
_GRAVITON = re.compile(r"[a-z]+[0-9]+g[a-z]*\..*")


class DataDisk(Facts):
    """A cloud machine's disk for what must outlive the machine: another image finds it as the former one left it."""

    size: Gibibytes = Field(description="May grow. AWS cannot shrink it.")
    mount: str = Field(pattern=r"^/[a-z0-9/_-]*[a-z0-9]$", description="Where the machine has it, like /var/lib/forgejo.")
    snapshots: int = Field(default=7, ge=0, le=1000, description="Daily snapshots that are kept; 0: none are made.")


class CloudVm(ManagedHost):
    """A virtual machine at AWS, whatever configures it."""

    kind: Literal["cloud-vm"]
    os: str
    region: str = Field(description="AWS region, like eu-central-1.")
    instance_type: str
    ami: AmiId = Field(description="Pinned image; a new one replaces the machine, its public address stays.")
    ami_name: str | None = Field(
        default=None, description="What AWS calls the image, like nixos/25.11.1056.d9bc5c7dceb3-aarch64-linux."
    )
    open: tuple[Opening, ...] = Field(default=(), description="What the internet may reach; SSH is in [cloud] ssh_from.")
    public_names: tuple[HostName, ...] = Field(default=(), description="More names under the public domain that lead to it.")
    allocation_id: AllocationId | None = Field(
        default=None, description="Elastic IP that exists: imported as it is, never released; default: made here."
    )
    disk: Gibibytes = Field(default=20, description="The system's; it goes with its machine.")

    elsewhere: ClassVar[bool] = True

    @property
    def system(self) -> str:
        """Of its instance type, as nix/images/amazon.nix decides what is built."""
        return "aarch64-linux" if _GRAVITON.fullmatch(self.instance_type) else "x86_64-linux"


class NixosCloudVm(CloudVm, NixosHost):
    """One whose system is a flake output."""

    os: Literal["nixos"]
    data: DataDisk | None = Field(default=None, description="Disk that outlives the machine.")


class AmazonLinuxVm(CloudVm):
    """One that a playbook configures."""

    os: Literal["amazon-linux"]
    playbook: str = Field(description="Playbook under ansible/.")


AwsMachine = Annotated[NixosCloudVm | AmazonLinuxVm, Field(discriminator="os")]


class HcloudVm(NixosHost):
    """A NixOS server at Hetzner Cloud. ``address`` names it in this file; the public one is Hetzner's."""

    kind: Literal["hcloud-vm"]
    server_type: str = Field(pattern=r"^[a-z]+[0-9]+$", description="Size, like cax11 (arm64) or cx23.")
    location: str = Field(pattern=r"^[a-z]{3}[0-9]$", description="Like fsn1, nbg1, hel1.")
    image: str = Field(pattern=r"^[0-9]+$", description="Id of the snapshot of an own NixOS image; another one replaces it.")
    ipv6: bool = Field(default=True, description="Also an IPv6 address, which goes with the server.")
    open: tuple[Opening, ...] = Field(default=(), description="What the internet may reach.")
    ssh_from: dict[HostName, Cidr] = Field(min_length=1, description="Named networks that may reach SSH.")
    volume: Gibibytes | None = Field(default=None, description="Data volume, which outlives the server.")
    protect: bool = Field(default=True, description="Neither destroyed nor replaced under `aether:protect`.")

    elsewhere: ClassVar[bool] = True

    @property
    def system(self) -> str:
        """Of its server type, as nix/images/hetzner.nix decides what is built."""
        return "aarch64-linux" if self.server_type.startswith("cax") else "x86_64-linux"


class Record(Facts):
    """A record of the public zone that no machine is behind."""

    name: str = Field(pattern=r"^(@|\*|[a-z0-9_*]([a-z0-9_.-]*[a-z0-9])?)$", description="Below the public domain; @ is itself.")
    type: Literal["A", "AAAA", "CAA", "CNAME", "MX", "NS", "SRV", "TXT"]
    values: tuple[str, ...] = Field(min_length=1)
    ttl: int = Field(default=3600, ge=30, description="Seconds.")


class Relay(Facts):
    """A port of the public gateway that leads through the tunnel to one of a host at home, for the machines beside it alone."""

    host: HostName = Field(description="The host of the homelab that is at the other end.")
    port: Port = Field(description="Its port there, TCP.")
    listen: Port = Field(description="The public gateway's port, on its private address.")


class Cloud(Facts):
    """The account's side of the cloud: network, who may log in, what it may cost."""

    gateway: HostName = Field(description="The cloud-vm that is the public gateway.")
    availability_zone: str = Field(description="Like eu-central-1a; all machines are in it.")
    ipv6: bool = Field(default=False, description="Also give the network and the machines IPv6 addresses and AAAA records.")
    ssh_from: dict[HostName, Cidr] = Field(default={}, description="Named networks that may reach SSH; empty: by SSM alone.")
    ssm: bool = Field(default=True, description="Let the machines be managed by AWS Systems Manager (sessions without SSH).")
    zone_id: str | None = Field(default=None, description="Route 53 zone of the public domain; default: made here.")
    zone_adopted: bool = Field(
        default=False, description="That zone is imported as it is and never deleted; else it is used alone."
    )
    overwrite_records: tuple[Fqdn, ...] = Field(default=(), description="Names in that zone that are taken over from others.")
    records: tuple[Record, ...] | None = Field(default=None, description="More records (MX, TXT); [] says that there are none.")
    way_home: HostName | None = Field(
        default=None, description="Public service of the homelab that is asked through the gateway to prove the tunnel."
    )
    relays: dict[HostName, Relay] = Field(
        default={}, description="Ways from the other machines home, by purpose: what they send there is encrypted end to end."
    )
    budget: int = Field(ge=1, description="US dollars a month; an alarm is sent at 80 % spent and 100 % forecast.")
    budget_email: str = Field(pattern=r"^[^@\s]+@[^@\s]+$", description="Who gets the alarm.")

    @model_validator(mode="after")
    def _adopts_a_zone_that_it_names(self) -> "Cloud":
        if self.zone_adopted and self.zone_id is None:
            raise ValueError("zone_adopted says something of a zone that exists; write its zone_id too, or remove the line")
        return self
