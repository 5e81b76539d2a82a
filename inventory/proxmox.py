"""Tables about the Proxmox cluster as a whole: SDN zones, backup jobs, and which guests move when their node fails."""

from typing import Literal

from pydantic import Field, model_validator

from inventory.base import Facts
from inventory.types import HostName


class Zone(Facts):
    """A zone of Proxmox's SDN. Networks that name it are its VNets."""

    type: Literal["vlan", "simple"] = Field(description="vlan: tagged on a bridge; simple: inside each node alone.")
    bridge: str | None = Field(default=None, description="Bridge that carries the tags, for a vlan zone.")
    nodes: tuple[HostName, ...] = Field(default=(), description="Nodes that have it; empty: all.")
    mtu: int | None = Field(default=None, ge=1280, le=65520)

    @model_validator(mode="after")
    def _a_vlan_has_a_bridge(self) -> "Zone":
        if (self.type == "vlan") != (self.bridge is not None):
            raise ValueError('bridge goes with type = "vlan"; write both, bridge = "vmbr0", or neither')
        return self


class Keep(Facts):
    """How many backups of each guest are kept; at least one kind has to be said."""

    last: int = Field(default=0, ge=0)
    daily: int = Field(default=0, ge=0)
    weekly: int = Field(default=0, ge=0)
    monthly: int = Field(default=0, ge=0)
    yearly: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _keeps_something(self) -> "Keep":
        if not any(getattr(self, field) for field in type(self).model_fields):
            raise ValueError("keeps no backup; write keep = { daily = 7, weekly = 4 }")
        return self


class Backup(Facts):
    """A vzdump job: whole guests, to a datastore with content type ``backup`` or to a Proxmox Backup Server."""

    storage: str = Field(description="Datastore of the cluster, like local or pbs.")
    schedule: str = Field(min_length=1, description="systemd calendar event, like 02:30 or sun 04:00.")
    keep: Keep
    hosts: tuple[HostName, ...] = Field(default=(), description="Guests; empty: every guest that is not disposable.")
    mode: Literal["snapshot", "suspend", "stop"] = "snapshot"
    mailto: tuple[str, ...] = Field(default=(), description="Who is told of a backup that failed; empty: the node's own way.")


class Availability(Facts):
    """Guests that Proxmox's HA manager starts on another node when theirs fails. Their disks have to be on shared storage."""

    hosts: tuple[HostName, ...] = Field(min_length=1)
    nodes: tuple[HostName, ...] = Field(min_length=2, description="Where they may run, the preferred node first.")
    strict: bool = Field(default=True, description="Rather stopped than on a node that is not named.")
    max_restart: int = Field(default=1, ge=0, le=10, description="Tries on the same node.")
    max_relocate: int = Field(default=1, ge=0, le=10, description="Tries on other nodes.")
