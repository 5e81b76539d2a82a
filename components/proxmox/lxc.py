"""A NixOS container (LXC) on Proxmox."""

import pulumi
import pulumi_command as command
import pulumi_proxmoxve as proxmox
from pydantic import Field

from components.base import Component
from components.proxmox.guest import SHARED_IMPORT, GuestArgs, first_contact, instance, through_node
from components.proxmox.network import Card, cards, container_addresses, container_interfaces, container_lines
from components.requests import DataDisksRequest, OptionsRequest, SettingsRequest, local_command
from inventory.models import NixosLxc as NixosLxcFacts


class NixosLxcArgs(GuestArgs):
    facts: NixosLxcFacts = Field(description="The host's entry in the inventory.")
    timeout: int = Field(default=900, ge=5, description="Seconds that creating, changing or destroying it may take.")


class NixosLxc(Component):
    """A container, born from a NixOS template, answering on SSH with its own host key.

    Creates:
        - ``proxmoxve:ContainerLegacy``: unprivileged with nesting unless the inventory says otherwise.
        - ``command:local:Command``: what no token may set, on the node as root; only where the inventory asks for it.
        - ``command:local:Command``: its data disks, added, grown and detached in place (``NAME-disks``).
        - ``command:local:Command``: its name, memory, network and nesting, changed in place (``NAME-settings``).
        - ``command:local:Command``: first contact (its SSH host key).

    Outputs:
        vm_id: Proxmox id.  instance: text, new for each creation.  ready: text, known once the host answers.
    """

    guest: proxmox.ContainerLegacy
    options: command.local.Command | None
    disks: command.local.Command
    settings: command.local.Command
    contact: command.local.Command

    def __init__(self, name: str, args: NixosLxcArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aether:proxmox:NixosLxc", name, opts)
        facts = args.facts
        first = facts.disks[0]
        attached = cards(facts, args.networks)
        self.guest = proxmox.ContainerLegacy(
            name,
            node_name=args.node_name,
            vm_id=facts.vmid,
            # Proxmox keeps descriptions with a newline at the end.
            description=f"{facts.description}\n" if facts.description else None,
            tags=sorted({"aether", *facts.tags}),
            unprivileged=facts.unprivileged,
            # All that a token may set; the rest is root's (container_options).
            features=proxmox.ContainerLegacyFeaturesArgs(nesting=facts.nesting) if facts.unprivileged else None,
            cpu=proxmox.ContainerLegacyCpuArgs(cores=facts.cpu),
            memory=proxmox.ContainerLegacyMemoryArgs(dedicated=facts.memory, swap=0),
            disk=proxmox.ContainerLegacyDiskArgs(datastore_id=first.datastore or args.node.disk_datastore, size=first.size),
            network_interfaces=container_interfaces(attached),
            initialization=proxmox.ContainerLegacyInitializationArgs(
                hostname=name,
                dns=proxmox.ContainerLegacyInitializationDnsArgs(
                    domain=args.domain, servers=list(args.networks[facts.network].nameservers)
                ),
                ip_configs=container_addresses(attached),
                user_account=proxmox.ContainerLegacyInitializationUserAccountArgs(keys=list(args.authorized_keys)),
            ),
            operating_system=proxmox.ContainerLegacyOperatingSystemArgs(template_file_id=args.image, type="nixos"),
            console=proxmox.ContainerLegacyConsoleArgs(enabled=True, tty_count=2, type="console"),
            startup=proxmox.ContainerLegacyStartupArgs(order=facts.start_order, up_delay=-1, down_delay=-1)
            if facts.start_order
            else None,
            start_on_boot=True,
            started=True,
            timeout_create=args.timeout,
            timeout_update=args.timeout,
            timeout_delete=args.timeout,
            opts=self.child(
                provider=args.provider,
                protect=args.protect,
                # Both have the same VMID: the provider would take the old one for the new one, and then delete it.
                delete_before_replace=True,
                ignore_changes=_ignored(args),
                import_=args.import_id(facts.vmid),
            ),
        )
        mac = self.guest.network_interfaces.apply(lambda interfaces: (interfaces[0].mac_address or "") if interfaces else "")
        self.instance = instance(facts, args.birth, mac)
        self.options = _options(self, name, args) if root_only(facts) and not facts.adopted else None
        self.disks = self._data_disks(name, args)
        self.settings = self._settings(name, args, attached)
        self.contact = first_contact(
            self,
            name,
            args,
            kind="lxc",
            facts=facts,
            vmid=self.guest.vm_id,
            instance=self.instance,
            # A container that takes another one's place is born with the address that the old one had.
            after=[self.settings, *([self.options] if self.options else [])],
        )
        self.vm_id = self.guest.vm_id
        self.ready = self.contact.stdout
        self.done({"vm_id": self.vm_id, "instance": self.instance, "ready": self.ready})

    def _data_disks(self, name: str, args: NixosLxcArgs) -> command.local.Command:
        """The container's disks after the first. What leaves the inventory is detached and its volume kept."""
        wanted = tuple(f"{disk.mount} {disk.size} {disk.datastore or args.node.disk_datastore}" for disk in args.facts.disks[1:])
        request = DataDisksRequest(**through_node(name, args, self.guest.vm_id, self.instance), disks=wanted)
        return local_command(f"{name}-disks", request, self.child())

    def _settings(self, name: str, args: NixosLxcArgs, attached: list[Card]) -> command.local.Command:
        facts = args.facts
        # One that is taken over under another name is renamed by the deployment after its import.
        wanted = [] if args.importing and facts.was else [f"hostname {name}"]
        wanted.append(f"memory {facts.memory}")
        if not facts.adopted:
            wanted += [f"net{index} {line}" for index, line in enumerate(container_lines(attached))]
        if not root_only(facts) and facts.unprivileged and not facts.adopted:
            wanted.append(f"nesting {int(facts.nesting)}")
        request = SettingsRequest(**through_node(name, args, self.guest.vm_id, self.instance), settings=tuple(wanted))
        return local_command(f"{name}-settings", request, self.child())


def _ignored(args: NixosLxcArgs) -> list[str]:
    """Properties whose change means nothing, each for its reason."""
    if args.importing:
        return [*SHARED_IMPORT, *_BORN_WITH, *_OF_THE_PROGRAM]
    return [
        # To the provider each change of a data disk is another container; `disks` makes it in place.
        "mountPoints",
        # The template is what a container is born from; what it runs later comes from NixosSystem.
        "operatingSystem.templateFileId",
        # The provider reboots a container for any of these; Proxmox does not have to (`settings`). Login keys and
        # resolvers are read at creation only: the deployed system owns them.
        "memory",
        "networkInterfaces",
        "initialization",
        # Set on the node, as root: the provider names every feature, and a token may name no other than nesting.
        "features",
        *(["devicePassthroughs"] if root_only(args.facts) else []),
        *(_BORN_WITH if args.facts.adopted else []),
    ]


# How a container was made, which an adopted one keeps.
_BORN_WITH = (
    "disk",
    "mountPoints",
    "networkInterfaces",
    "operatingSystem",
    "unprivileged",
    "features",
    "console",
    "devicePassthroughs",
)
# What Proxmox does not know, and what else an import leaves alone.
_OF_THE_PROGRAM = ("timeoutCreate", "timeoutUpdate", "timeoutDelete", "startOnBoot")


def root_only(facts: NixosLxcFacts) -> bool:
    """Whether the container has what Proxmox lets only its login root@pam set: no token, not even root's."""
    return bool(facts.keyctl or facts.fuse or facts.devices or (facts.nesting and not facts.unprivileged))


def _options(parent: NixosLxc, name: str, args: NixosLxcArgs) -> command.local.Command:
    facts = args.facts
    features = {"nesting": facts.nesting, "keyctl": facts.keyctl, "fuse": facts.fuse}
    request = OptionsRequest(
        **through_node(name, args, parent.guest.vm_id, parent.instance),
        features=",".join(f"{feature}=1" for feature, on in features.items() if on),
        devices=tuple(facts.devices),
    )
    return local_command(f"{name}-options", request, parent.child(), undone=True)
