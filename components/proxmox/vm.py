"""A NixOS virtual machine on Proxmox."""

import pulumi
import pulumi_command as command
import pulumi_proxmoxve as proxmox
from pydantic import Field

from components.base import Component
from components.proxmox.devices import mapping
from components.proxmox.guest import SHARED_IMPORT, GuestArgs, first_contact, instance, through_node
from components.proxmox.network import Card, cards, vm_addresses, vm_devices
from components.requests import GrowDisksRequest, local_command
from inventory.models import NixosVm as NixosVmFacts


class NixosVmArgs(GuestArgs):
    facts: NixosVmFacts = Field(description="The host's entry in the inventory.")
    known_disks: int | None = Field(default=None, description="Disks that the state has of it; None: it has no such machine.")


class NixosVm(Component):
    """A virtual machine, born from a NixOS image, answering on SSH with its own host key.

    Creates:
        - ``proxmoxve:VmLegacy``: OVMF, virtio disks and network, guest agent, USB and PCI devices by their mappings.
        - ``command:local:Command``: grows its disks (``NAME-disks``).
        - ``command:local:Command``: first contact (its SSH host key).

    Outputs:
        vm_id: Proxmox id.  instance: text, new for each creation.  ready: text, known once the host answers.
    """

    guest: proxmox.VmLegacy
    disks: command.local.Command
    contact: command.local.Command

    def __init__(self, name: str, args: NixosVmArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aether:proxmox:NixosVm", name, opts)
        facts = args.facts
        attached = cards(facts, args.networks)
        self.guest = proxmox.VmLegacy(
            name,
            node_name=args.node_name,
            vm_id=facts.vmid,
            name=name,
            description=facts.description,
            tags=sorted({"aether", *facts.tags}),
            bios="ovmf",
            machine="q35",
            scsi_hardware="virtio-scsi-single",
            operating_system=proxmox.VmLegacyOperatingSystemArgs(type="l26"),
            agent=proxmox.VmLegacyAgentArgs(enabled=True, timeout="5m"),
            cpu=proxmox.VmLegacyCpuArgs(cores=facts.cpu, type=facts.cpu_type or args.node.cpu_type, numa=facts.numa or None),
            memory=proxmox.VmLegacyMemoryArgs(dedicated=facts.memory, floating=facts.balloon),
            efi_disk=proxmox.VmLegacyEfiDiskArgs(
                datastore_id=args.node.disk_datastore, file_format="raw", type="4m", pre_enrolled_keys=False
            ),
            disks=_disks(args),
            network_devices=vm_devices(attached),
            initialization=_initialization(args, attached),
            serial_devices=[proxmox.VmLegacySerialDeviceArgs(device="socket")],
            usbs=[proxmox.VmLegacyUsbArgs(mapping=mapping(facts.node, "usb", device), usb3=False) for device in facts.usb],
            hostpcis=[
                proxmox.VmLegacyHostpciArgs(
                    device=f"hostpci{index}", mapping=mapping(facts.node, "pci", device), pcie=True, rombar=True
                )
                for index, device in enumerate(facts.pci)
            ],
            startup=proxmox.VmLegacyStartupArgs(order=facts.start_order, up_delay=-1, down_delay=-1)
            if facts.start_order
            else None,
            # A hung kernel is reset; the guest's systemd keeps it quiet (nix/modules/security.nix).
            watchdog=proxmox.VmLegacyWatchdogArgs(enabled=True, model="i6300esb", action="reset"),
            on_boot=True,
            started=True,
            migrate=True,
            # What a change needs is pending until the controlled reboot (./aether reboot), one host after the other.
            reboot_after_update=False,
            # A guest that goes must not take its backup, replication and HA jobs along, nor disks that were detached from it.
            purge_on_destroy=False,
            delete_unreferenced_disks_on_destroy=False,
            timeout_create=600,
            timeout_shutdown_vm=180,
            opts=self.child(
                provider=args.provider,
                protect=args.protect,
                ignore_changes=_ignored(args),
                import_=args.import_id(facts.vmid),
            ),
        )
        # Of the device, not mac_addresses: those are what the guest agent reports, the loopback's first.
        mac = self.guest.network_devices.apply(lambda devices: (devices[0].mac_address or "") if devices else "")
        self.instance = instance(facts, args.birth, mac)
        self.disks = self._grow_disks(name, args)
        self.contact = first_contact(self, name, args, kind="vm", facts=facts, vmid=self.guest.vm_id, instance=self.instance)
        self.vm_id = self.guest.vm_id
        self.ready = self.contact.stdout
        self.done({"vm_id": self.vm_id, "instance": self.instance, "ready": self.ready})

    def _grow_disks(self, name: str, args: NixosVmArgs) -> command.local.Command:
        """Apart from the guest: the provider grows none in a run that leaves cores, memory or devices waiting for a boot."""
        born = args.known_disks is None and not args.importing
        wanted = tuple(f"{disk.interface or interface(index)} {disk.size}" for index, disk in enumerate(args.facts.disks))
        request = GrowDisksRequest(**through_node(name, args, self.guest.vm_id, self.instance), disks=wanted)
        return local_command(f"{name}-disks", request, self.child(), born=born)


def interface(index: int) -> str:
    """What Proxmox calls the disk number INDEX."""
    return f"scsi{index}"


# How a machine was made, which an adopted one keeps.
_HARDWARE = (
    *("bios", "machine", "scsiHardware", "agent", "efiDisk", "disks", "networkDevices", "serialDevices", "watchdog"),
    *("vgas", "audioDevices", "cdrom", "keyboardLayout", "tabletDevice", "bootOrders", "acpi", "kvmArguments"),
)
# What Proxmox does not know, and what else an import leaves alone.
_OF_THE_PROGRAM = (
    *("migrate", "rebootAfterUpdate", "purgeOnDestroy", "deleteUnreferencedDisksOnDestroy", "timeoutCreate", "timeoutShutdownVm"),
    *("onBoot", "usbs", "hostpcis"),
)


def _ignored(args: NixosVmArgs) -> list[str]:
    """Properties whose change means nothing, each for its reason."""
    if args.importing:
        return ["name", *SHARED_IMPORT, *_HARDWARE, *_OF_THE_PROGRAM]
    if args.facts.adopted:
        return [*_HARDWARE, "operatingSystem", "initialization", "cpu.type", "cpu.numa", "memory.floating"]
    # The engine drops a whole disk that is added or removed where a property of it is to be ignored.
    disks = min(len(args.facts.disks), args.known_disks or len(args.facts.disks))
    return [
        # The image is what a guest is born from; what it runs later comes from NixosSystem, so a new image replaces nobody.
        "disks[0].importFrom",
        # Read at first boot only: the deployed system owns keys and resolvers, and a changed cloud-init drive asks for a reboot.
        "initialization.userAccount",
        "initialization.dns",
        # Where both were made is where they stay.
        "initialization.datastoreId",
        "efiDisk.datastoreId",
        # The provider declares eight zeros where no limit is set and reads back none: with zeros or without, a false update.
        *(f"disks[{index}].speed" for index in range(disks)),
        # Grown by `NAME-disks`.
        *(f"disks[{index}].size" for index in range(disks)),
    ]


def _disks(args: NixosVmArgs) -> list[proxmox.VmLegacyDiskArgs]:
    return [
        proxmox.VmLegacyDiskArgs(
            interface=interface(index),
            datastore_id=disk.datastore or args.node.disk_datastore,
            size=disk.size,
            file_format="raw",
            import_from=args.image if index == 0 else None,
            iothread=True,
            discard="on",
            ssd=True,
        )
        for index, disk in enumerate(args.facts.disks)
    ]


def _initialization(args: NixosVmArgs, attached: list[Card]) -> proxmox.VmLegacyInitializationArgs:
    return proxmox.VmLegacyInitializationArgs(
        datastore_id=args.node.disk_datastore,
        dns=proxmox.VmLegacyInitializationDnsArgs(
            domain=args.domain, servers=list(args.networks[args.facts.network].nameservers)
        ),
        ip_configs=vm_addresses(attached),
        user_account=proxmox.VmLegacyInitializationUserAccountArgs(username="root", keys=list(args.authorized_keys)),
    )
