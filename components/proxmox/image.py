"""The NixOS image that guests are born from: a VM disk image or an LXC template."""

from typing import Literal

import pulumi
import pulumi_command as command
import pulumi_proxmoxve as proxmox
from pydantic import Field

from components.base import Args, Component, Operator, script

_FORMATS = {
    # flake output, extension, Proxmox content type
    "vm": ("proxmox-vm", "qcow2", "import"),
    "lxc": ("proxmox-lxc", "tar.xz", "vztmpl"),
}


class NixosImageArgs(Args):
    guest: Literal["vm", "lxc"] = Field(description="What is born from it.")
    environment: str = Field(default="", description="Before the file's name: environments on one node have their own.")
    version: str = Field(description="Hash of the image's sources; a new one builds and uploads a new file.")
    datastores: dict[str, str] = Field(min_length=1, description="Proxmox node to the datastore that takes images.")
    operator: Operator
    provider: pulumi.ProviderResource = Field(description="The proxmoxve provider.")


class NixosImage(Component):
    """Builds one image and uploads it once to each node.

    Creates:
        - ``command:local:Command``: the build (``nix build``), into ``.aether/images/``.
        - ``proxmoxve:FileLegacy`` a node: the upload, over the API.

    Outputs:
        files: node name to volume id, like ``local:import/nixos-vm-0123456789ab.qcow2``.
    """

    build: command.local.Command
    uploads: dict[str, proxmox.FileLegacy]

    def __init__(self, name: str, args: NixosImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aether:proxmox:NixosImage", name, opts)
        attribute, extension, content_type = _FORMATS[args.guest]
        file_name = f"nixos-{args.guest}-{args.version[:12]}.{extension}"
        path = f".aether/images/{file_name}"
        if args.environment:
            file_name = f"{args.environment}-{file_name}"
        self.build = command.local.Command(
            name,
            command.local.CommandArgs(
                create=script("proxmox", "scripts", "build-image.sh"),
                environment={
                    "AETHER_NIX": args.operator.nix,
                    "AETHER_IMAGE": attribute,
                    "AETHER_OUTPUT": path,
                    "AETHER_DESIRED": f"source:{args.version}",
                },
                logging=command.local.Logging.STDERR,
            ),
            opts=self.child(),
        )
        self.uploads = {
            node: proxmox.FileLegacy(
                f"{name}-{node}",
                node_name=node,
                datastore_id=datastore,
                content_type=content_type,
                # Of the build's result, so that an upload waits for it; the value itself is known at preview.
                source_file=proxmox.FileLegacySourceFileArgs(path=path, file_name=file_name),
                # A file of this name holds this content (the name has its hash): one that an interrupted run left is taken over.
                overwrite=True,
                opts=self.child(provider=args.provider, depends_on=[self.build]),
            )
            for node, datastore in args.datastores.items()
        }
        self.files = {node: upload.id for node, upload in self.uploads.items()}
        self.done({"files": self.files})
