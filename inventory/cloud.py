"""What is in a cloud: its machines, a class for each way one is made, and the account around them."""

import re
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from inventory.base import Facts
from inventory.hosts import ManagedHost, NixosHost, Opening
from inventory.marks import AtAws, ReadBy, When
from inventory.types import AllocationId, AmiId, Cidr, Fqdn, Gibibytes, HostName, Port

# Instance types with an ARM processor of Amazon's: t4g.small, c7gn.large.
_GRAVITON = re.compile(r"[a-z]+[0-9]+g[a-z]*\..*")


class DataDisk(Facts):
    """A cloud machine's disk for what must outlive the machine: another image finds it as the former one left it."""

    size: Annotated[Gibibytes, AtAws.UPDATE, When("size, smaller", AtAws.REFUSED)] = Field(
        description="May grow. AWS cannot shrink it."
    )
    mount: Annotated[str, AtAws.NOTHING] = Field(
        pattern=r"^/[a-z0-9/_-]*[a-z0-9]$", description="Where the machine has it, like /var/lib/forgejo."
    )
    snapshots: Annotated[int, AtAws.UPDATE] = Field(
        default=7, ge=0, le=1000, description="Daily snapshots that are kept; 0: none are made."
    )


class CloudVm(ManagedHost):
    """A virtual machine at AWS, whatever configures it."""

    kind: Annotated[Literal["cloud-vm"], AtAws.MOVE]
    os: str
    region: Annotated[str, AtAws.MOVE, ReadBy.NOBODY] = Field(description="AWS region, like eu-central-1.")
    # Nix takes its architecture from it, Ansible asks the machine.
    instance_type: Annotated[str, AtAws.REPLACE_ARM, ReadBy.SYSTEMS]
    ami: Annotated[AmiId, AtAws.REPLACE, ReadBy.NOBODY] = Field(
        description="Pinned image; a new one replaces the machine, its public address stays."
    )
    ami_name: Annotated[str | None, AtAws.WORD, ReadBy.NOBODY] = Field(
        default=None, description="What AWS calls the image, like nixos/25.11.1056.d9bc5c7dceb3-aarch64-linux."
    )
    open: Annotated[tuple[Opening, ...], AtAws.UPDATE, ReadBy.NOBODY] = Field(
        default=(), description="What the internet may reach; SSH is in [cloud] ssh_from."
    )
    public_names: Annotated[tuple[HostName, ...], AtAws.UPDATE] = Field(
        default=(), description="More names under the public domain that lead to it."
    )
    allocation_id: Annotated[AllocationId | None, AtAws.ADDRESS] = Field(
        default=None, description="Elastic IP that exists: imported as it is, never released; default: made here."
    )
    disk: Annotated[Gibibytes, AtAws.UPDATE, ReadBy.NOBODY] = Field(
        default=20, description="The system's; it goes with its machine."
    )

    elsewhere: ClassVar[bool] = True

    @property
    def system(self) -> str:
        """Of its instance type, as nix/images/amazon.nix decides what is built."""
        return "aarch64-linux" if _GRAVITON.fullmatch(self.instance_type) else "x86_64-linux"


class NixosCloudVm(CloudVm, NixosHost):
    """One whose system is a flake output."""

    os: Annotated[Literal["nixos"], AtAws.NOTHING]
    data: Annotated[DataDisk | None, AtAws.LOST] = Field(default=None, description="Disk that outlives the machine.")


class AmazonLinuxVm(CloudVm):
    """One that a playbook configures."""

    os: Annotated[Literal["amazon-linux"], AtAws.NOTHING]
    playbook: Annotated[str, AtAws.NOTHING] = Field(description="Playbook under ansible/.")


AwsMachine = Annotated[NixosCloudVm | AmazonLinuxVm, Field(discriminator="os")]


class HcloudVm(NixosHost):
    """A NixOS server at Hetzner Cloud. ``address`` names it in this file; the public one is Hetzner's."""

    kind: Annotated[Literal["hcloud-vm"], ReadBy.ALL]
    server_type: Annotated[str, ReadBy.ALL] = Field(pattern=r"^[a-z]+[0-9]+$", description="Size, like cax11 (arm64) or cx23.")
    location: Annotated[str, ReadBy.ALL] = Field(pattern=r"^[a-z]{3}[0-9]$", description="Like fsn1, nbg1, hel1.")
    image: Annotated[str, ReadBy.ALL] = Field(
        pattern=r"^[0-9]+$", description="Id of the snapshot of an own NixOS image; another one replaces it."
    )
    ipv6: Annotated[bool, ReadBy.ALL] = Field(default=True, description="Also an IPv6 address, which goes with the server.")
    open: Annotated[tuple[Opening, ...], ReadBy.NOBODY] = Field(default=(), description="What the internet may reach.")
    ssh_from: Annotated[dict[HostName, Cidr], ReadBy.ALL] = Field(min_length=1, description="Named networks that may reach SSH.")
    volume: Annotated[Gibibytes | None, ReadBy.ALL] = Field(default=None, description="Data volume, which outlives the server.")
    protect: Annotated[bool, ReadBy.ALL] = Field(
        default=True, description="Neither destroyed nor replaced under `aether:protect`."
    )

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

    gateway: Annotated[HostName, AtAws.MOVE] = Field(description="The cloud-vm that is the public gateway.")
    availability_zone: Annotated[str, AtAws.MOVE] = Field(description="Like eu-central-1a; all machines are in it.")
    ipv6: Annotated[bool, AtAws.UPDATE] = Field(
        default=False, description="Also give the network and the machines IPv6 addresses and AAAA records."
    )
    ssh_from: Annotated[dict[HostName, Cidr], AtAws.UPDATE] = Field(
        default={}, description="Named networks that may reach SSH; empty: by SSM alone."
    )
    ssm: Annotated[bool, AtAws.UPDATE] = Field(
        default=True, description="Let the machines be managed by AWS Systems Manager (sessions without SSH)."
    )
    zone_id: Annotated[str | None, AtAws.ZONE] = Field(
        default=None, description="Route 53 zone of the public domain; default: made here."
    )
    zone_adopted: Annotated[bool, AtAws.WORD] = Field(
        default=False, description="That zone is imported as it is and never deleted; else it is used alone."
    )
    overwrite_records: Annotated[tuple[Fqdn, ...], AtAws.WORD] = Field(
        default=(), description="Names in that zone that are taken over from others."
    )
    records: Annotated[tuple[Record, ...] | None, AtAws.UPDATE] = Field(
        default=None, description="More records (MX, TXT); [] says that there are none."
    )
    way_home: Annotated[HostName | None, AtAws.NOTHING] = Field(
        default=None, description="Public service of the homelab that is asked through the gateway to prove the tunnel."
    )
    relays: Annotated[dict[HostName, Relay], AtAws.UPDATE] = Field(
        default={}, description="Ways from the other machines home, by purpose: what they send there is encrypted end to end."
    )
    budget: Annotated[int, AtAws.UPDATE] = Field(
        ge=1, description="US dollars a month; an alarm is sent at 80 % spent and 100 % forecast."
    )
    budget_email: Annotated[str, AtAws.UPDATE] = Field(pattern=r"^[^@\s]+@[^@\s]+$", description="Who gets the alarm.")

    @model_validator(mode="after")
    def _adopts_a_zone_that_it_names(self) -> "Cloud":
        if self.zone_adopted and self.zone_id is None:
            raise ValueError("zone_adopted says something of a zone that exists; write its zone_id too, or remove the line")
        return self
