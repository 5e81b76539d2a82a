"""Devices of a Proxmox node that virtual machines may take, by name: resource mappings."""

from typing import Literal

import pulumi
import pulumi_proxmoxve as proxmox
from pydantic import Field

from components.base import Args, Component
from inventory.models import Node


class NodeDevicesArgs(Args):
    node: Node
    provider: pulumi.ProviderResource = Field(description="The proxmoxve provider.")


class NodeDevices(Component):
    """The mappings of one node's devices. By their raw ids only root@pam could give them to a guest, and no token.

    Creates:
        - ``proxmoxve:hardware/mapping:Usb`` for each USB device, by vendor and product.
        - ``proxmoxve:hardware/mapping:Pci`` for each PCI device, by slot; Proxmox compares its ids when a guest starts.

    Outputs:
        mappings: names of the mappings.
    """

    usb: dict[str, proxmox.hardware.mapping.Usb]
    pci: dict[str, proxmox.hardware.mapping.Pci]

    def __init__(self, name: str, args: NodeDevicesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aether:proxmox:NodeDevices", name, opts)
        self.usb = {
            device.name: proxmox.hardware.mapping.Usb(
                mapping(name, "usb", device.name),
                name=mapping(name, "usb", device.name),
                maps=[proxmox.hardware.mapping.UsbMapArgs(node=name, id=device.id)],
                opts=self.child(provider=args.provider),
            )
            for device in args.node.usb
        }
        self.pci = {
            device.name: proxmox.hardware.mapping.Pci(
                mapping(name, "pci", device.name),
                name=mapping(name, "pci", device.name),
                maps=[
                    proxmox.hardware.mapping.PciMapArgs(
                        node=name,
                        id=device.id,
                        path=device.path,
                        subsystem_id=device.subsystem_id,
                        iommu_group=device.iommu_group,
                    )
                ],
                opts=self.child(provider=args.provider),
            )
            for device in args.node.pci
        }
        self.done({"mappings": sorted([*self.usb, *self.pci])})


def mapping(node: str, kind: Literal["usb", "pci"], device: str) -> str:
    """Name of a device's mapping; the cluster has one name space for the devices of all nodes."""
    return f"{node}-{kind}-{device}"
